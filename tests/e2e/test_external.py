"""Programs that are not Loom's own children: they come, come back, and are sent away."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.node import SDK, node
from tests.e2e.instance import Instance, kill, wait_for

PROGRAM = """
from loom import Agent

async def answer(ctx, topic, event):
    await ctx.emit("visitor.said", event.data)

Agent("visitor", topics=["visitor.asked"], on_event=answer, address="unix:").run()
"""


@pytest.fixture
def loom(home: Path) -> Iterator[Instance]:
    with Instance(home / "app", "agents", "tools", "bridge") as instance:
        instance.up()
        yield instance


@pytest.fixture
def visitor(loom: Instance) -> Iterator[subprocess.Popen[str]]:
    (loom.folder / "visitor.py").write_text(PROGRAM, "utf-8")
    made = loom.loom("token", "create", "visitor")
    child = subprocess.Popen(
        [sys.executable, "visitor.py"], cwd=loom.folder, text=True, stderr=subprocess.PIPE,
        env=loom._environment() | {"LOOM_TOKEN": made.stdout.strip()},
    )  # fmt: skip
    wait_for(lambda: is_there(loom))
    yield child
    child.kill()
    child.communicate()


def is_there(loom: Instance) -> bool:
    return loom.agents().get("visitor", {}).get("status") == "active"


@pytest.mark.feature("BRG-05")
@pytest.mark.feature("RT-01")
def test_it_comes_back_to_the_next_loom(loom: Instance, visitor: subprocess.Popen[str]) -> None:
    assert loom.loom("down").returncode == 0
    loom.up()
    wait_for(lambda: is_there(loom))
    assert visitor.poll() is None
    watching = loom.tail("visitor.said")
    loom.loom("publish", "visitor.asked", "1")
    assert watching.stdout is not None
    assert "visitor.said" in watching.stdout.readline()


@pytest.mark.feature("SEC-06")
def test_a_program_whose_token_is_revoked_ends_and_says_so(
    loom: Instance, visitor: subprocess.Popen[str]
) -> None:
    assert loom.loom("token", "revoke", "visitor").returncode == 0
    _, said = visitor.communicate(timeout=20)
    assert visitor.returncode == 1
    assert "revoked" in said
    assert "Traceback" not in said


SLOW = {
    "py": """
import asyncio
from pathlib import Path
from loom import Agent

async def handle(ctx, topic, event):
    with Path("began").open("a") as file:
        file.write(f"{event.data}\\n")
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    await ctx.tool("book:enter", {"number": event.data})
    await ctx.emit("visit.made", event.data)
    ctx.state["made"] = [*ctx.state.get("made", []), event.data]

Agent("visitor", topics=["visitor.asked"], on_event=handle, address="unix:").run()
""",
    "js": """
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Agent } from "SDK/src/index.js";

await new Agent({
  id: "visitor",
  topics: ["visitor.asked"],
  async onEvent(ctx, topic, event) {
    appendFileSync("began", `${event.data}\\n`);
    while (!existsSync("go")) await wait(20);
    await ctx.tool("book:enter", { number: event.data });
    await ctx.emit("visit.made", event.data);
    ctx.state.made = [...(ctx.state.made ?? []), event.data];
  },
}).run();
""".replace("SDK", str(SDK)),
}
BOOK = """
from contextlib import asynccontextmanager
from pathlib import Path
from loom import ToolProvider
from loom.contracts import ToolDescriptor
from loom_kernel import hookimpl

async def enter(call):
    with Path("entered").open("a") as file:
        file.write(f"{call.arguments['number']}\\n")

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    provider = ToolProvider(host)
    provider.add(ToolDescriptor("book:enter", "Enters", {"type": "object"}), enter)
    await provider.start()
    yield
"""


@pytest.mark.feature("X-05", "TOOL-05", "BRG-05")
@pytest.mark.feature("SDK-06")
@pytest.mark.reliability("R1")
@pytest.mark.parametrize("language", ["py", "js"])
def test_what_it_was_doing_when_loom_was_killed_is_done_once(home: Path, language: str) -> None:
    """The handling that outlived Loom is void; the one that comes again does it."""
    plugins = ("agents", "tools", "bridge", "journal", "book")
    grants = '[plugins.tools.grants]\nvisitor = ["book:*"]'
    with Instance(home / "app", *plugins, config=grants) as loom:
        loom.add_plugin("book", BOOK)
        first = loom.up()["pid"]
        script = loom.folder / {"py": "visitor.py", "js": "visitor.mjs"}[language]
        script.write_text(SLOW[language], "utf-8")
        program = sys.executable if language == "py" else node()
        with subprocess.Popen(
            [program, script.name], cwd=loom.folder, env=loom._environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as child:  # fmt: skip
            try:
                wait_for(lambda: is_there(loom))
                for number in range(3):  # one is handled, the others wait where it is
                    assert loom.loom("publish", "visitor.asked", str(number)).returncode == 0
                wait_for((loom.folder / "began").exists)
                kill(first)
                loom.up()
                wait_for(lambda: is_there(loom))
                (loom.folder / "go").touch()
                wait_for(lambda: len(_numbers(loom, "entered")) >= 3)
                wait_for(lambda: not _left(loom))
            finally:
                child.kill()
        assert _numbers(loom, "entered") == [0, 1, 2]
        assert _numbers(loom, "began") == [0, 0, 1, 2], "and what waited there was dropped"


def _numbers(loom: Instance, name: str) -> list[int]:
    path = loom.folder / name
    return [int(word) for word in path.read_text("utf-8").split()] if path.exists() else []


def _left(loom: Instance) -> int:
    (found,) = json.loads(loom.loom("journal", "status", "--json").stdout)["consumers"]
    return int(found["behind"] + found["in_hand"])
