"""R6: a whole Loom, real agents in processes, a tool that changes the world; and a nemesis.

Orders come in all the time. Between its acts (kill the kernel, kill or stop an agent's process)
the nemesis waits only until something goes on again. At the end all promises are counted.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from loom_plugin_journal import SqliteStore, letters

from tests.e2e.instance import Instance, is_alive, kill, wait_for

ACTS = 200 if os.environ.get("LOOM_TEST_LONG") else 6
CONFIG = """
[plugins.agents]
run = "process"
[plugins.tools.grants]
clerk = ["mail:*"]
"""

CUSTOMER = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from loom import ToolProvider
from loom.contracts import ToolDescriptor
from loom_kernel import LoomError, hookimpl

FOLDER = Path({folder!r})

def lines(name):
    path = FOLDER / name
    return path.read_text().split() if path.exists() else []

def note(name, word):
    with (FOLDER / name).open("a") as file:
        file.write(f"{{word}}\\n")

def consumed(host):
    return {{p for found in host.status()["subscriptions"] for p in found["patterns"]}}

async def send(call):
    note("sent", call.arguments["number"])
    await asyncio.sleep(0.01)
    return "sent"

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    provider = ToolProvider(host)
    provider.add(ToolDescriptor("mail:send", "Sends", {{"type": "object"}}), send)
    await provider.start()

    async def shop():
        number = max(map(int, lines("tried")), default=0)
        while not {{"order.placed", "parcel.sent"}} <= consumed(host):
            await asyncio.sleep(0.05)
        while not (FOLDER / "closed").exists():
            number += 1
            note("tried", number)
            try:
                taken = await host.publish("order.placed", number, thread_id=f"t{{number % 4}}")
            except LoomError:
                continue
            if taken:
                note("accepted", number)
            await asyncio.sleep(0.02)

    work = host.spawn(shop(), "shop")
    yield
    work.cancel()
"""

CLERK = """
from loom import Agent, ToolError

async def handle(ctx, topic, event):
    try:
        told = await ctx.tool("mail:send", {"number": event.data})
    except ToolError as error:
        told = error.code
    ctx.state["handled"] = ctx.state.get("handled", 0) + 1
    await ctx.emit("parcel.sent", {"number": event.data, "told": told})

agent = Agent("clerk", ["order.placed"], on_event=handle)
"""

DRIVER = """
import json
from loom import Agent

async def handle(ctx, topic, event):
    parcel = [event.data["number"], event.data["told"]]
    ctx.state["parcels"] = [*ctx.state.get("parcels", []), parcel]

agent = Agent("driver", ["parcel.sent"], on_event=handle)
"""


class Chaos:
    """The nemesis."""

    def __init__(self, app: Instance, random: Random) -> None:
        self.app = app
        self.random = random
        self.kernel = int(app.up()["pid"])

    def words(self, name: str) -> list[str]:
        path = self.app.folder / name
        return path.read_text().split() if path.exists() else []

    def progress(self, by: int = 5) -> None:
        """Wait until more orders are accepted, and more mails are sent."""
        accepted, sent = len(self.words("accepted")) + by, len(self.words("sent")) + 1
        wait_for(lambda: len(self.words("accepted")) >= accepted, timeout=90)
        wait_for(lambda: len(self.words("sent")) >= sent, timeout=90)

    def act(self) -> None:
        what = self.random.choice(["kernel", "kernel", "agent", "stopped agent"])
        if what == "kernel":
            kill(self.kernel)
            self.kernel = int(self.app.up()["pid"])
            return
        name = self.random.choice(["clerk", "driver"])
        pid = self.app.agents()[name].get("pid") or 0
        if not pid or not is_alive(pid):
            return
        if what == "agent":
            kill(pid)
        else:
            os.kill(pid, signal.SIGSTOP)
            self.progress(by=20) if name == "driver" else None
            if is_alive(pid):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.feature("X-05")
@pytest.mark.feature("TOOL-05")
@pytest.mark.reliability("R6")
@pytest.mark.reliability("R1")
@pytest.mark.timeout(120 + 20 * ACTS)
def test_whatever_is_killed_each_order_is_handled_and_no_mail_is_sent_twice(tmp_path: Path) -> None:
    plugins = ("agents", "bridge", "journal", "tools", "customer")
    with Instance(tmp_path / "app", *plugins, config=CONFIG) as app:
        (app.folder / "agents").mkdir()
        (app.folder / "agents" / "clerk.py").write_text(CLERK)
        (app.folder / "agents" / "driver.py").write_text(DRIVER)
        app.add_plugin("customer", CUSTOMER.format(folder=str(app.folder)))
        chaos = Chaos(app, Random(4))
        for _ in range(ACTS):
            chaos.progress()
            chaos.act()
        chaos.progress()
        (app.folder / "closed").touch()
        wait_for(lambda: _is_idle(app), timeout=120)
        unknown = json.loads(app.loom("journal", "unknown", "--json").stdout)
        app.loom("down")
        accepted, sent = map(int, chaos.words("accepted")), Counter(chaos.words("sent"))
        store = SqliteStore(app.state / "plugins" / "journal")
        assert store.verify() == store.last
        state = json.loads(store.get("state", "driver") or b"{}")
        dead = {one.summary()["id"] for one in letters(store)}
        orders = [r.envelope() for r in store.read(1, store.last) if r.topic == "order.placed"]
        store.close()
    parcels = _parcels(state)
    assert set(accepted) <= {event.data for event in orders}, "nothing accepted is lost"
    assert max(sent.values()) == 1, "no mail is sent twice"
    assert not dead
    assert Counter(number for number, _ in parcels) == Counter(e.data for e in orders)
    doubtful = [number for number, told in parcels if told == "OUTCOME_UNKNOWN"]
    for number, told in parcels:
        assert sent[str(number)] == 1 or number in doubtful, f"{number}: {told}"
    assert len(unknown) <= len(doubtful), "an agent is told what nobody knows"
    by_thread: dict[int, list[int]] = {}
    for number, _ in parcels:
        by_thread.setdefault(number % 4, []).append(number)
    assert all(numbers == sorted(numbers) for numbers in by_thread.values()), "in their order"


def _is_idle(app: Instance) -> bool:
    found = json.loads(app.loom("journal", "status", "--json").stdout or "{}")
    consumers = found.get("consumers", [])
    return len(consumers) == 2 and all(one["behind"] == one["in_hand"] == 0 for one in consumers)


def _parcels(state: dict[str, object]) -> list[tuple[int, str]]:
    for value in (state, *state.values()):
        if isinstance(value, dict) and "parcels" in value:
            return [(number, told) for number, told in value["parcels"]]
    raise AssertionError(f"there are no parcels in {state}")
