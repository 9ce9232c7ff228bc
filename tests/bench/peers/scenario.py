"""The same workload for every peer, in the peer's own environment.

A peer is an async context manager that connects handlers to topics and gives what publishes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager

from loom_plugin_bench import Meter, Sink, Stopwatch, batch_of, drive, drive_paced, topic_names

Handler = Callable[[object], Coroutine[None, None, None]]
Publish = Callable[[str, dict[str, object]], Awaitable[object]]
Connect = Callable[[list[str], Handler], AbstractAsyncContextManager[Publish]]

COPIES, TOPICS = 10, 100


async def throughput(connect: Connect, seconds: float, topics: list[str]) -> dict[str, float]:
    """One handler for each entry of *topics*; a topic that comes twice is delivered twice."""
    sink = Sink()
    distinct = list(dict.fromkeys(topics))
    copies = len(topics) // len(distinct)
    async with connect(topics, sink.handle) as publish:
        meter = Meter(seconds)
        sent = await drive(publish, sink, batch_of(distinct), meter, copies)
        return {"rate": sent * copies / meter.spent}


async def latency(connect: Connect, seconds: float) -> dict[str, float]:
    watch, topics = Stopwatch(), topic_names(1)
    async with connect(topics, watch.handle) as publish:
        await drive_paced(publish, watch, topics[0], seconds)
    return watch.figures()


def measure(connect: Connect) -> None:
    """Run the scenario that the command line names and print its figures."""
    name, seconds = sys.argv[1], float(sys.argv[2])
    scenarios = {
        "one": lambda: throughput(connect, seconds, topic_names(1)),
        "fan-out": lambda: throughput(connect, seconds, topic_names(1) * COPIES),
        "topics": lambda: throughput(connect, seconds, topic_names(TOPICS)),
        "latency": lambda: latency(connect, seconds),
    }

    async def show() -> None:
        print(json.dumps(await scenarios[name]()), flush=True)
        os._exit(0)  # a peer may keep tasks that the loop would wait for in vain

    asyncio.run(show())


__all__ = ["Handler", "Publish", "measure"]
