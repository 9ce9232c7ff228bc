"""Programs that are not Loom's own children: they come, come back, and are sent away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, wait_for

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
