"""What each process of a case does, whatever carries the events: publish, subscribe, ask, answer.

A process says on its output that it is ready, then does what each line of its input says and
answers with one line; it ends with its input. Needs the standard library only, because peers run
it in an environment of their own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import mmap
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

TOPIC, ASKED, ANSWERED_INSIDE = "bench.events", "bench.asked", "bench.inside"
TEXT = b'{"note":"' + b"y" * 189 + b'"}'
"""200 bytes, encoded already."""
BURST = 256
AHEAD = 16_384
"""Events by which a publisher may be ahead of its subscriber."""
MARK = 64
LOOK = 0.0005
_COUNT = struct.Struct("Q")

Handler = Callable[[Any], Coroutine[None, None, None]]


@dataclass(slots=True)
class Link:
    """A connection to whatever is in the middle."""

    payload: Any = TEXT
    """`TEXT` in the form that costs the publisher least."""
    publish: Callable[[str, Any], Awaitable[object]] | None = None
    subscribe: Callable[[str, Handler], Awaitable[object]] | None = None
    """Returns when the subscription is in effect."""
    request: Callable[[str, Any], Awaitable[object]] | None = None
    respond: Callable[[str], Awaitable[object]] | None = None


Connect = Callable[[str], AbstractAsyncContextManager[Link]]


class Progress:
    """How many events have arrived, in memory that publisher and subscriber share."""

    def __init__(self, file: Path) -> None:
        with file.open("a+b") as shared:
            shared.truncate(_COUNT.size)
            self._memory = mmap.mmap(shared.fileno(), _COUNT.size)

    @property
    def count(self) -> int:
        (count,) = _COUNT.unpack_from(self._memory)
        return int(count)

    @count.setter
    def count(self, count: int) -> None:
        _COUNT.pack_into(self._memory, 0, count)


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


async def orders() -> AsyncIterator[dict[str, Any]]:
    """Each line of the input, until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def settle_down(**told: Any) -> None:
    """All is there: what exists by now is not looked at by the collector any more."""
    gc.collect()
    gc.freeze()
    say(ready=True, **told)


async def publisher(link: Link, folder: Path) -> None:
    """Publish for as long as it is told, not too far ahead of the subscriber."""
    progress, sent = Progress(folder / "progress"), 0
    publish, payload = link.publish, link.payload
    assert publish is not None
    settle_down()
    async for order in orders():
        began, before = perf_counter(), sent
        while perf_counter() - began < order["seconds"]:
            for _ in range(BURST):
                await publish(TOPIC, payload)
            sent += BURST
            await asyncio.sleep(0)
            while sent - progress.count > AHEAD:  # noqa: ASYNC110  # another process counts
                await asyncio.sleep(LOOK)
        say(sent=sent - before, total=sent)


async def subscriber(link: Link, folder: Path) -> None:
    """Count, and tell when as many have arrived as it is told to expect."""
    progress = Progress(folder / "progress")
    arrived, expected, complete = 0, -1, asyncio.Event()

    async def handle(message: object) -> None:
        nonlocal arrived
        arrived += 1
        if not arrived % MARK or arrived == expected:
            progress.count = arrived
            if arrived == expected:
                complete.set()

    assert link.subscribe is not None
    await link.subscribe(TOPIC, handle)
    settle_down()
    async for order in orders():
        expected = order["expect"]
        complete.clear()
        if arrived < expected:
            async with asyncio.timeout(60):
                await complete.wait()
        say(arrived=arrived)


async def requester(link: Link, folder: Path) -> None:
    """Ask as often as it can, `flight` at a time; say how many there were and how long one took."""
    request, payload = link.request, link.payload
    assert request is not None
    settle_down()
    async for order in orders():
        topic, until = order["topic"], perf_counter() + order["seconds"]
        taken: list[float] = []

        async def work(topic: str = topic, until: float = until, taken: Any = taken) -> None:
            while (began := perf_counter()) < until:
                await request(topic, payload)
                taken.append(perf_counter() - began)

        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(order["flight"]):
                group.create_task(work())
        taken.sort()
        say(
            count=len(taken), wall=perf_counter() - began,
            p50_us=taken[len(taken) // 2] * 1e6, p99_us=taken[len(taken) * 99 // 100] * 1e6,
        )  # fmt: skip


async def responder(link: Link, folder: Path) -> None:
    """Answer until the end."""
    assert link.respond is not None
    await link.respond(ASKED)
    settle_down()
    async for _ in orders():
        pass


ROLES = {role.__name__: role for role in (publisher, subscriber, requester, responder)}


def main(connect: Connect) -> None:
    """Be what the command line says: ROLE ADDRESS FOLDER."""
    role, address, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])

    async def play() -> None:
        async with connect(address) as link:
            await ROLES[role](link, folder)
            os._exit(0)  # the figures are told; what a peer still keeps shows nothing more

    asyncio.run(play())


__all__ = ["ANSWERED_INSIDE", "ASKED", "TEXT", "TOPIC", "Handler", "Link", "main", "orders"]
