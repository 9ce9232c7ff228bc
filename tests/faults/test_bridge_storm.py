"""Many agents in two languages, and lines that are cut at random."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
from loom.bridge import bridge_folder
from loom_kernel.testing import EventRecorder, running, wait_until

from plugins.bridge.tests.cutter import Cutter
from tests.conformance.node import node

HERE = Path(__file__).parent / "storm"
LONG = bool(os.environ.get("LOOM_TEST_LONG"))
COUNT = 100 if LONG else 25
EVENTS = 400 if LONG else 60
PATIENCE = 240 if LONG else 60
PROGRAMS = {"py": (sys.executable, "party.py"), "js": ("node", "party.mjs")}


class Party:
    """One process with *COUNT* agents, behind a proxy."""

    def __init__(self, own: str, other: str, cutter: Cutter, token: str) -> None:
        self._order = {
            "own": own, "other": other, "address": cutter.address, "token": token,
            "count": COUNT, "events": EVENTS, "patience": PATIENCE,
        }  # fmt: skip
        self._own = own
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program, script = PROGRAMS[self._own]
        if self._own == "js":
            program = await asyncio.to_thread(node)
        self._child = await asyncio.create_subprocess_exec(
            program, str(HERE / script), json.dumps(self._order),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, limit=1 << 24,
        )  # fmt: skip
        assert await self.line() == "ready"

    async def line(self) -> str:
        assert self._child is not None
        assert self._child.stdout is not None
        async with asyncio.timeout(PATIENCE + 20):
            return (await self._child.stdout.readline()).decode().strip()

    def go_on(self) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(b"\n")

    async def aclose(self) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()


async def storm(cutters: list[Cutter], random: Random) -> None:
    """Cut lines, or let them stand still, until cancelled."""
    while True:
        await asyncio.sleep(random.uniform(0.05, 0.25))
        cutter = random.choice(cutters)
        if random.random() < 0.2:
            cutter.freeze()
            await asyncio.sleep(random.uniform(0.1, 0.4))
            cutter.thaw()
        else:
            cutter.cut(random.uniform(0.1, 1.0), random)


def absences(events: EventRecorder) -> list[float]:
    """Seconds for which agents were without a connection, each time."""
    gone: dict[str, float] = {}
    found: list[float] = []
    for event in events.events:
        id, what = event.topic.split(".")[1:]
        if what == "disconnected":
            gone.setdefault(id, event.time)
        elif what == "connected" and id in gone:
            found.append(event.time - gone.pop(id))
    return sorted(found)


@pytest.fixture
async def parties(home: Path) -> AsyncIterator[tuple[Any, list[Party], list[Cutter]]]:
    settings = {"plugins": {"bridge": {"heartbeat": 0.5, "lease": 1.5}}}
    async with running("agents", "bridge", config=settings) as runtime, AsyncExitStack() as stack:
        folder = bridge_folder(runtime.host("test").world.paths)
        token = (folder / "local.token").read_text().strip()
        cutters: list[Cutter] = []
        found: list[Party] = []
        for own, other, socket, scheme in (
            ("py", "js", "frames.sock", "unix"),
            ("js", "py", "websocket.sock", "ws+unix"),
        ):
            cutter = Cutter(home / f"{own}.sock", folder / socket, scheme)
            await cutter.start()
            stack.push_async_callback(cutter.aclose)
            cutters.append(cutter)
            found.append(Party(own, other, cutter, token))
            stack.push_async_callback(found[-1].aclose)
        yield runtime, found, cutters


@pytest.mark.anyio
@pytest.mark.timeout(400)
@pytest.mark.feature("BRG-05")
@pytest.mark.feature("SDK-06")
@pytest.mark.reliability("R18")
async def test_nothing_is_lost_between_languages_in_a_storm_of_cuts(
    parties: tuple[Any, list[Party], list[Cutter]],
) -> None:
    """0 lost, 0 twice, in order; back within 5 s at the 95th percentile."""
    runtime, both, cutters = parties
    events = EventRecorder(runtime.host("witness"), "agent.*.connected", "agent.*.disconnected")
    await asyncio.gather(*(party.start() for party in both))
    host = runtime.host("storm")
    raging = host.spawn(storm(cutters, Random(18)), "storm")
    for party in both:
        party.go_on()
    got: dict[str, list[int]] = {}
    for party in both:
        got |= json.loads(await party.line())
    raging.cancel()
    for cutter in cutters:
        cutter.thaw()
    assert len(got) == 2 * COUNT
    assert {id: numbers for id, numbers in got.items() if numbers != list(range(EVENTS))} == {}
    away = absences(events)
    assert len(away) > COUNT
    assert away[int(len(away) * 0.95)] <= 5.0
    for party in both:
        party.go_on()
    await wait_until(lambda: not runtime.host("outside").world.status()["plugins"]["bridge"]
                     ["metrics"]["sessions"], timeout=20)  # fmt: skip
