"""When an event counts as done with: its own handler has ended, whatever else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loom.contracts import AgentDefinition
from loom.hosting import Actor
from loom_kernel import Envelope, Host
from loom_kernel.testing import running, wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-09"), pytest.mark.feature("BRG-03")]


class Desk:
    """An actor whose handler waits for a gate of each event, and what was settled."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.began: list[Any] = []
        self.settled: list[Any] = []
        self.gates: dict[Any, asyncio.Event] = {}

    async def start(self, concurrency: str, patience: float = 5.0) -> Actor:
        definition = AgentDefinition("ada", self._handle, ("job",), concurrency=concurrency)
        actor = Actor(self.host, definition, patience=patience)
        await actor.start()
        assert actor._mailbox is not None
        actor._mailbox.on_settled = lambda event, _: self.settled.append(event.data)
        return actor

    async def _handle(self, host: Host, event: Envelope) -> None:
        self.began.append(event.data)
        await self.gates.setdefault(event.data, asyncio.Event()).wait()
        if event.data == "bad":
            raise ValueError("bad")

    async def send(self, *events: Any) -> None:
        for event in events:
            await self.host.publish("job", event)

    def open(self, event: Any) -> None:
        self.gates[event].set()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running() as runtime:
        yield Desk(runtime.host("test"))


async def test_in_parallel_each_is_done_when_its_own_task_is(desk: Desk) -> None:
    await desk.start("parallel:3")
    await desk.send(1, "bad", 3)
    await wait_until(lambda: len(desk.began) == 3)
    assert desk.settled == []
    desk.open(3)
    await wait_until(lambda: desk.settled == [3])
    desk.open("bad")
    await wait_until(lambda: desk.settled == [3, "bad"])
    desk.open(1)
    await wait_until(lambda: desk.settled == [3, "bad", 1])


async def test_in_a_queue_one_after_the_other(desk: Desk) -> None:
    await desk.start("queue")
    await desk.send(1, 2)
    await wait_until(lambda: desk.began == [1])
    assert desk.settled == []
    desk.open(1)
    await wait_until(lambda: desk.began == [1, 2])
    assert desk.settled == [1]
    desk.open(2)
    await wait_until(lambda: desk.settled == [1, 2])


async def test_what_is_refused_is_done_with_at_once(desk: Desk) -> None:
    await desk.start("reject")
    await desk.send(1, 2)
    await wait_until(lambda: desk.settled == [2])
    desk.open(1)
    await wait_until(lambda: desk.settled == [2, 1])


async def test_what_is_replaced_is_done_with(desk: Desk) -> None:
    await desk.start("replace")
    await desk.send(1)
    await wait_until(lambda: desk.began == [1])
    await desk.send(2)
    await wait_until(lambda: desk.began == [1, 2])
    assert desk.settled == [1]
    desk.open(2)
    await wait_until(lambda: desk.settled == [1, 2])


@pytest.mark.parametrize("concurrency", ["queue", "parallel:2", "replace"])
async def test_what_the_end_cuts_short_is_not_done_with(desk: Desk, concurrency: str) -> None:
    actor = await desk.start(concurrency, patience=0.05)
    await desk.send(1)
    await wait_until(lambda: desk.began == [1])
    await actor.stop()
    assert desk.settled == []
