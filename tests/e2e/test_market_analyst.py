"""The market analyst as a user runs it: six processes, no network, and no order by accident."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.e2e.instance import Instance, events, kill, wait_for

APP = Path(__file__).parents[2] / "sdk" / "apps" / "market-analyst"
AGENTS = ("data", "executor", "planner", "risk", "sentiment", "trend")
PLAN = re.compile(r"(BTC|ETH|SOL) [0-9.]+: (BUY|HOLD) \([0-9]+%\), the trend is")
DECIDED = ("success", "dry-run", "hold", "error")
EXCHANGE = '''
"""Places orders in a file, and takes as long over it as the test wants."""

from contextlib import asynccontextmanager
from pathlib import Path

from loom import ToolProvider
from loom.contracts import ToolDescriptor
from loom_kernel import hookimpl

ORDERS, GO = Path("orders"), Path("go")


@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def place(call):
        with (host.world.paths.project / ORDERS).open("a") as file:
            file.write(call.arguments["client_order_id"] + "\\n")
        while not (host.world.paths.project / GO).exists():
            await host.clock.sleep(0.02)
        return {"order_id": "of " + call.arguments["client_order_id"]}

    provider = ToolProvider(host)
    schema = {"type": "object"}
    provider.add(
        ToolDescriptor("exchange:place_order", "Place an order", schema, permissions=("net",)),
        place,
    )
    await provider.start()
    yield
'''


def app(home: Path, **settings: str) -> Instance:
    """A copy of the app, with *settings* of `loom.toml` replaced, whatever table they are in."""
    folder = home / "market-analyst"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns(".loom", "tests", "__pycache__"))
    file = folder / "loom.toml"
    text = file.read_text("utf-8")
    for name, value in settings.items():
        text, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", text)
        assert count == 1, name
    file.write_text(text, "utf-8")
    return Instance(folder)


def told(instance: Instance, topic: str) -> list[dict[str, Any]]:
    """The data of what was published on *topic*, in order; Loom need not run."""
    done = instance.loom("events", "--topic", topic, "--json")
    assert done.returncode == 0, done.stderr
    return [event["data"] for event in events(done.stdout)]


def skip(watching: subprocess.Popen[str], count: int) -> None:
    """Wait for *count* more events that a `loom tail` shows."""
    assert watching.stdout is not None
    for _ in range(count):
        assert watching.stdout.readline(), "it has ended"


def wait_end(instance: Instance, count: int) -> None:
    """Wait until a recording has ended for the *count*-th time."""
    watching = instance.tail("market.feed.ended")
    if len(told(instance, "market.feed.ended")) < count:
        skip(watching, 1)


def check_each_once(instance: Instance) -> list[dict[str, Any]]:
    """Every plan was carried out, rehearsed or left alone exactly once; what was said of them."""
    executions = told(instance, "execution.>")
    decided = Counter(e["plan_hash"] for e in executions if e["status"] in DECIDED)
    assert set(decided.values()) == {1}
    assert {plan["plan_hash"] for plan in told(instance, "plan.ready")} == set(decided)
    return executions


@pytest.mark.feature("APP-02")
@pytest.mark.feature("APP-04")
def test_it_prints_plans_within_ten_seconds_and_never_trades(home: Path) -> None:
    with app(home) as market:
        began = time.monotonic()
        child = market.start("run", ".")
        assert child.stderr is not None
        lines: list[str] = []
        for line in child.stderr:
            lines.append(line)
            if PLAN.search(line):
                break
        assert time.monotonic() - began < 10, lines
        assert {agent: a["kind"] for agent, a in market.agents().items()} == dict.fromkeys(
            AGENTS, "process"
        )
        wait_end(market, 1)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
        assert child.returncode == 0
        executions = check_each_once(market)
    assert {e["status"] for e in executions} == {"hold", "dry-run"}
    assert not any(e["executed"] for e in executions)


@pytest.mark.feature("APP-04")
@pytest.mark.reliability("R1")
def test_no_plan_is_carried_out_twice_whoever_is_killed(home: Path) -> None:
    with app(home) as market:
        market.up()
        watching = market.tail("execution.>")
        for victim in ("executor", "planner", "executor"):
            skip(watching, 30)
            kill(market.agents()[victim]["pid"])
        kill(market.status()["pid"])
        before = len(told(market, "market.feed.ended"))
        market.up()
        wait_end(market, before + 1)
        wait_for(lambda: len(told(market, "execution.>")) >= len(told(market, "plan.ready")))
        market.loom("down")
        executions = check_each_once(market)
    assert {e["status"] for e in executions} <= {"hold", "dry-run", "skipped"}


@contextmanager
def exchange() -> Iterator[str]:
    """An exchange on which one price rises, a minute of the market every 50 ms; its address."""

    def talk(socket: ServerConnection) -> None:
        asked = json.loads(socket.recv())
        try:
            for minute in range(2000):
                price = 100 * 1.0005**minute * (1.0004 if minute % 2 else 1)
                ticker = {
                    "instId": asked["args"][0]["instId"], "last": f"{price:.4f}",
                    "open24h": "100", "high24h": "200", "low24h": "100", "vol24h": "1",
                    "ts": str(60_000 * minute),
                }  # fmt: skip
                socket.send(json.dumps({"arg": asked["args"][0], "data": [ticker]}))
                if is_over.wait(0.05):
                    return
        except ConnectionClosed:
            return

    is_over = threading.Event()
    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        is_over.set()
        server.shutdown()
        thread.join()


@pytest.mark.feature("APP-04")
@pytest.mark.reliability("R1")
def test_an_order_under_way_is_not_placed_again_by_the_next_process(home: Path) -> None:
    with exchange() as url, app(
        home, source='"live"', url=f'"{url}"', throttle_ms="0", enable_trading="true",
        symbols='["BTC-USDT"] #',
    ) as market:  # fmt: skip
        market.add_plugin("exchange", EXCHANGE)
        market.environment["MARKET_ANALYST_TRADING"] = "yes"
        despite = 'plugins.tools.despite_untrusted=["exchange:place_order"]'
        grant = 'plugins.tools.grants.executor=["exchange:place_order"]'
        market.up("--with", "exchange", "--set", grant, "--set", despite)
        orders = market.folder / "orders"
        wait_for(orders.exists, timeout=30)
        kill(market.agents()["executor"]["pid"])
        (market.folder / "go").touch()
        wait_for(lambda: len(orders.read_text().split()) >= 3, timeout=30)
        market.loom("down")
        placed = orders.read_text().split()
        executions = told(market, "execution.btc")
    assert len(placed) == len(set(placed)), "each order once"
    acted = [e for e in executions if e["plan_action"] == "BUY" and e["status"] != "skipped"]
    assert len(acted) == len({e["plan_hash"] for e in acted})
    assert {e["plan_hash"][:32] for e in acted} >= set(placed[:-1])
    assert Counter(e["status"] for e in acted)["success"] >= 2
