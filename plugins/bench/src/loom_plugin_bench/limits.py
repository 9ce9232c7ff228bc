"""The raw limits: what Python and asyncio can do at most, with nothing of a bus around it.

The limit of publishing is a deque that is handed over in batches: the publisher calls a function
that appends and wakes the consumer once, the consumer drains up to a batch and yields once. It
has no envelope, no routing, no bounds, no accounts and no isolation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from loom_plugin_bench.matching import hot_topics, per_lookup
from loom_plugin_bench.workload import (
    BURST,
    Meter,
    Sink,
    Stopwatch,
    batch_of,
    drive_paced,
    make_payload,
    topic_names,
)

BATCH = 256

Handler = Callable[[object], Awaitable[object]]
Figures = dict[str, float]


class HandOver:
    """One queue between a function call and an async handler."""

    __slots__ = ("_queue", "_waiter")

    def __init__(self) -> None:
        self._queue: deque[object] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def hand_over(self, message: object) -> None:
        self._queue.append(message)
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.set_result(None)

    async def serve(self, handler: Handler) -> None:
        queue, take = self._queue, self._queue.popleft
        loop = asyncio.get_running_loop()
        while True:
            if not queue:
                self._waiter = loop.create_future()
                await self._waiter
            for _ in range(min(len(queue), BATCH)):
                await handler(take())
            await asyncio.sleep(0)


@asynccontextmanager
async def consumers(count: int, handler: Handler) -> AsyncIterator[list[HandOver]]:
    """*count* queues with a consumer each."""
    queues = [HandOver() for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(queue.serve(handler)) for queue in queues]
        await asyncio.sleep(0)
        yield queues
        for task in tasks:
            task.cancel()


async def one(seconds: float, publishers: int = 1) -> Figures:
    """*publishers* to one."""
    sink = Sink()
    async with consumers(1, sink.handle) as (queue,):
        hand_over, meter, burst = queue.hand_over, Meter(seconds), BURST // publishers

        async def publisher() -> int:
            sent = 0
            while not meter.is_over:
                for number in range(burst):
                    hand_over(make_payload(number))
                sent += burst
                await asyncio.sleep(0)
            return sent

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(publisher()) for _ in range(publishers)]
        await sink.wait_count(sum(task.result() for task in tasks))
        return {"rate": sink.count / meter.spent}


async def fan_out(seconds: float, copies: int) -> Figures:
    """One to *copies*; counts deliveries."""
    sink, sent = Sink(), 0
    async with consumers(copies, sink.handle) as queues:
        targets, meter = [queue.hand_over for queue in queues], Meter(seconds)
        while not meter.is_over:
            for number in range(BURST):
                message = make_payload(number)
                for hand_over in targets:
                    hand_over(message)
            sent += BURST
            await asyncio.sleep(0)
        await sink.wait_count(sent * copies)
        return {"rate": sink.count / meter.spent}


async def topics(seconds: float, count: int) -> Figures:
    """*count* topics in turn, each with a consumer of its own, found by name."""
    sink, sent, names = Sink(), 0, topic_names(count)
    async with consumers(count, sink.handle) as queues:
        targets = {name: queue.hand_over for name, queue in zip(names, queues, strict=True)}
        batch, meter = batch_of(names), Meter(seconds)
        while not meter.is_over:
            for number, topic in enumerate(batch):
                targets[topic](make_payload(number))
            sent += len(batch)
            await asyncio.sleep(0)
        await sink.wait_count(sent)
        return {"rate": sink.count / meter.spent}


async def latency(seconds: float) -> Figures:
    """From the call to the handler, at 1,000 events a second."""
    watch = Stopwatch()
    async with consumers(1, watch.handle) as (queue,):

        async def publish(topic: str, payload: dict[str, object]) -> None:
            queue.hand_over(payload)

        await drive_paced(publish, watch, "", seconds)
    return watch.figures()


async def lookup(seconds: float) -> Figures:
    """One lookup of a topic in a plain dict."""
    table = {topic: [topic] for topic in hot_topics(0)}
    return {"lookup_ns": per_lookup(table, list(table), Meter(seconds))}
