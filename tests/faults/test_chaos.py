"""R6: a whole Loom, agents in two languages, tools that change the world; and a nemesis.

Orders come in all the time: the clerk sends a mail for each, the driver takes the parcel, and the
auditor, in JavaScript, enters it with a tool of an MCP server. Between its acts (kill the kernel,
the MCP server, kill or stop an agent's process) the nemesis waits only until something goes on
again. At the end all promises are counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest
from loom_plugin_journal import SqliteStore, letters

from tests.conformance.node import SDK, node
from tests.e2e.instance import Instance, is_alive, kill, wait_for

ACTS = 200 if os.environ.get("LOOM_TEST_LONG") else 6
PACE = 0.1 if ACTS == 200 else 0.02
"""Seconds between two orders: what agents know of all of them is kept with each."""
CONFIG = """
[plugins.agents]
run = "process"
[plugins.mcp]
max_restarts = 1000
[plugins.tools.grants]
clerk = ["mail:*"]
auditor = ["ledger:*"]
[mcp.ledger]
command = "{python}"
args = ["{folder}/ledger.py", "{folder}/entered/numbers"]
read = ["ledger.py"]
write = ["entered"]
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
        while not (FOLDER / "open").exists():
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
            await asyncio.sleep({pace})

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


AUDITOR = """
import {{ Agent, ToolError }} from "{sdk}/src/index.js";

const agent = new Agent({{
  id: "auditor",
  topics: ["parcel.sent"],
  async onEvent(ctx, topic, event) {{
    const {{ number }} = event.data;
    let told = "entered";
    try {{
      await ctx.tool("ledger:enter", {{ number }});
    }} catch (error) {{
      if (!(error instanceof ToolError)) throw error;
      if (error.code === "CAPABILITY_ERROR" || error.code === "PROVIDER_UNAVAILABLE") throw error;
      told = error.code;
    }}
    ctx.state.audited = [...(ctx.state.audited ?? []), [number, told]];
  }},
}});
await agent.run();
"""

LEDGER = """
import json, sys

TOOL = {"name": "enter", "description": "Enters", "inputSchema": {"type": "object"}}
SERVER = {"name": "ledger", "version": "1"}
for line in sys.stdin:
    asked = json.loads(line)
    params, answer = asked.get("params") or {}, {}
    match asked["method"]:
        case "initialize":
            answer = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                      "serverInfo": SERVER}
        case "tools/list":
            answer = {"tools": [TOOL]}
        case "tools/call":
            with open(sys.argv[1], "a") as file:
                file.write(f"{params['arguments']['number']}\\n")
            answer = {"content": [{"type": "text", "text": "entered"}]}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""


def furnish(app: Instance) -> None:
    """Put everybody's programs into the folder of *app*."""
    (app.folder / "agents").mkdir()
    (app.folder / "agents" / "clerk.py").write_text(CLERK)
    (app.folder / "agents" / "driver.py").write_text(DRIVER)
    (app.folder / "auditor.mjs").write_text(AUDITOR.format(sdk=SDK))
    (app.folder / "ledger.py").write_text(LEDGER)
    (app.folder / "entered").mkdir()
    app.add_plugin("customer", CUSTOMER.format(folder=str(app.folder), pace=PACE))


class Chaos:
    """The nemesis."""

    def __init__(self, app: Instance, random: Random) -> None:
        self.app = app
        self.random = random
        self.kernel = int(app.up()["pid"])
        self.auditor: subprocess.Popen[bytes] | None = None
        self.node = node()
        assert app.loom("mcp", "trust", "ledger", "--yes").returncode == 0
        self.audit()

    def audit(self) -> None:
        """Have an auditor run."""
        if self.auditor is None or self.auditor.poll() is not None:
            self.auditor = subprocess.Popen(
                [self.node, "auditor.mjs"], cwd=self.app.folder,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def close(self) -> None:
        if self.auditor is not None:
            self.auditor.kill()
            self.auditor.wait()

    def words(self, name: str) -> list[str]:
        path = self.app.folder / name
        return path.read_text().split() if path.exists() else []

    def progress(self, by: int = 5) -> None:
        """Wait until more orders are accepted, and more mails are sent."""
        accepted, sent = len(self.words("accepted")) + by, len(self.words("sent")) + 1
        wait_for(lambda: len(self.words("accepted")) >= accepted, timeout=90)
        wait_for(lambda: len(self.words("sent")) >= sent, timeout=90)
        entered = len(self.words("entered/numbers")) + 1
        self.audit()
        wait_for(lambda: len(self.words("entered/numbers")) >= entered, timeout=90)

    def act(self) -> None:
        match self.random.choice(["kernel", "kernel", "auditor", "ledger", "agent", "agent"]):
            case "kernel":
                kill(self.kernel)
                self.kernel = int(self.app.up()["pid"])
            case "auditor" if self.auditor is not None:
                kill(self.auditor.pid)
                self.auditor.wait()
            case "ledger":
                for pid in _processes(str(self.app.folder / "ledger.py")):
                    with suppress(ProcessLookupError):  # it ended with its sandbox
                        kill(pid)
            case _:
                self.act_on_agent(self.random.choice(["agent", "stopped agent"]))

    def act_on_agent(self, what: str) -> None:
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
@pytest.mark.timeout(400 + 20 * ACTS)
def test_whatever_is_killed_each_order_is_handled_and_no_mail_is_sent_twice(tmp_path: Path) -> None:
    plugins = ("agents", "bridge", "journal", "mcp", "sandbox", "tools", "customer")
    folder = tmp_path / "app"
    config = CONFIG.format(python=sys.executable, folder=folder)
    with Instance(folder, *plugins, config=config) as app, ExitStack() as stack:
        furnish(app)
        chaos = Chaos(app, Random(4))
        stack.callback(chaos.close)
        wait_for(lambda: {"auditor", "clerk", "driver"} <= _running(app), timeout=60)
        (app.folder / "open").touch()
        for _ in range(ACTS):
            chaos.progress()
            chaos.act()
        chaos.progress()
        chaos.audit()
        (app.folder / "closed").touch()
        wait_for(lambda: _is_idle(app), timeout=300)
        unknown = json.loads(app.loom("journal", "unknown", "--json").stdout)
        app.loom("down")
        accepted, sent = map(int, chaos.words("accepted")), Counter(chaos.words("sent"))
        entered = Counter(chaos.words("entered/numbers"))
        store = SqliteStore(app.state / "plugins" / "journal")
        assert store.verify() == store.last
        state = json.loads(store.get("state", "driver") or b"{}")
        audited = _kept(json.loads(store.get("state", "auditor") or b"{}"), "audited")
        dead = {one.summary()["id"] for one in letters(store)}
        orders = [r.envelope() for r in store.read(1, store.last) if r.topic == "order.placed"]
        store.close()
    parcels = _kept(state, "parcels")
    assert set(accepted) <= {event.data for event in orders}, "nothing accepted is lost"
    assert max(sent.values()) == 1, "no mail is sent twice"
    assert not dead
    assert Counter(number for number, _ in parcels) == Counter(e.data for e in orders)
    doubtful = [number for number, told in parcels if told == "OUTCOME_UNKNOWN"]
    for number, told in parcels:
        assert sent[str(number)] == 1 or number in doubtful, f"{number}: {told}"
    assert max(entered.values()) == 1, "nothing is entered twice"
    assert Counter(number for number, _ in audited) == Counter(e.data for e in orders)
    unsure = {str(number) for number, told in audited if told != "entered"}
    assert {str(e.data) for e in orders} - set(entered) <= unsure
    assert len(unknown) <= len(doubtful) + len(unsure), "an agent is told what nobody knows"
    by_thread: dict[int, list[int]] = {}
    for number, _ in parcels:
        by_thread.setdefault(number % 4, []).append(number)
    assert all(numbers == sorted(numbers) for numbers in by_thread.values()), "in their order"


def _processes(argument: str) -> list[int]:
    """Those that were started with *argument*, which is a path of this test's own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _running(app: Instance) -> set[str]:
    return {id for id, agent in app.agents().items() if agent["state"] == "running"}


def _is_idle(app: Instance) -> bool:
    found = json.loads(app.loom("journal", "status", "--json").stdout or "{}")
    consumers = found.get("consumers", [])
    return len(consumers) == 3 and all(one["behind"] == one["in_hand"] == 0 for one in consumers)


def _kept(state: dict[str, object], name: str) -> list[tuple[int, str]]:
    """What an agent has under *name*, in its own state or in the runtime's envelope around it."""
    for value in (state, *state.values()):
        if isinstance(value, dict) and name in value:
            return [(number, told) for number, told in value[name]]
    raise AssertionError(f"there is no {name} in {state}")
