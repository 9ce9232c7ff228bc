"""Processes that work together in every way there is, through the bridge."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest
from loom.bridge import bridge_folder
from loom_kernel.testing import EventRecorder, running

from workspace import ROOT

pytestmark = pytest.mark.anyio


async def member(address: str, token: str, name: str) -> bytes:
    """What the process of *name* printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.crew", address, name,
        cwd=ROOT, env={**os.environ, "LOOM_TOKEN": token}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return said


@pytest.mark.feature("COL-08")
async def test_three_processes_complete_every_primitive() -> None:
    async with running("agents", "tools", "bridge") as runtime:
        events = EventRecorder(runtime.host("witness"), "thread.*.reply")
        before = len(runtime.host("outside").status()["subscriptions"])
        folder = bridge_folder(runtime.host("outside").world.paths)
        address = f"unix://{folder / 'frames.sock'}"
        token = (folder / "local.token").read_text().strip()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            crew = [
                group.create_task(member(address, token, name)) for name in ("lead", "low", "high")
            ]
        outcome = json.loads(crew[0].result())
        after = len(runtime.host("outside").status()["subscriptions"])
    assert outcome == {
        "request": "high: hi",
        "votes": ["high: yes", "low: yes"],
        "fanout": [{"crew.low": "low: x", "crew.high": "high: x"}, ["crew.none"], True],
        "missing": ["high", "low"],
        "contract": ["high", "netting by high", 2],
    }
    assert [event.type for event in events.events] == ["collab.summary", "collab.settled"]
    assert after == before
