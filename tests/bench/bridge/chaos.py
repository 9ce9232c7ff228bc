"""Links that fail: `chaos LINKS` listens on each path of the table in that file for its target.

A link is cut (both ends see the end), stands still (neither sees anything until it tries again)
or is reset (what was on its way is thrown away).
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from tests.bench.bridge.roles import orders, say

EVERY = 2.0
"""Seconds between two faults of one link, on average."""
BACKLOG = 0.02
"""Seconds for which a link that is reset lets what comes lie."""
PATIENCE = 20.0
LOOK = 0.05


class End(asyncio.Protocol):
    """One end of a line; what comes goes out at the other."""

    def __init__(self, link: Link, is_near: bool) -> None:
        self._link = link
        self._is_near = is_near
        self._waiting: list[bytes] = []
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self.stands_still = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream socket
        if self._is_near:
            self._link.accept(self)

    def data_received(self, data: bytes) -> None:
        if self.stands_still:
            return
        if not self._is_near and not is_upgrade(data):
            self._link.passed(self)
        if self.other is None or self.other.transport is None:
            self._waiting.append(data)
        else:
            self.other.transport.write(data)

    def join(self, other: End) -> None:
        """Let what came so far go out at *other*."""
        self.other = other
        if other.transport is not None:
            other.transport.writelines(self._waiting)
            self._waiting.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None and not self.stands_still:
            self.other.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def is_upgrade(data: bytes) -> bool:
    """Whether it is what a WebSocket begins with, and nothing of the session yet."""
    return data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n")


class Link:
    """The way of one agent, with a line at a time."""

    def __init__(self, path: str, target: str, group: asyncio.TaskGroup, random: Random) -> None:
        self._path, self._target = path, target
        self._group, self._random = group, random
        self._line: tuple[End, ...] = ()
        self._failed = 0.0
        self.times: list[float] = []
        """Seconds from each fault to the welcome on the next line."""

    @property
    def is_open(self) -> bool:
        """Whether a fault is not repaired yet."""
        return bool(self._failed)

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_server(lambda: End(self, True), self._path)

    def accept(self, near: End) -> None:
        for end in self._line:
            end.abort()  # the one that stood still
        self._line = (near,)
        self._group.create_task(self._connect(near))

    async def _connect(self, near: End) -> None:
        loop = asyncio.get_running_loop()
        _, far = await loop.create_unix_connection(lambda: End(self, False), self._target)
        if self._line != (near,):
            far.abort()
            return
        self._line = (near, far)
        far.join(near)
        near.join(far)

    def passed(self, far: End) -> None:
        """The server says something."""
        if self._failed and far in self._line:
            self.times.append(perf_counter() - self._failed)
            self._failed = 0.0

    async def fail_until(self, end: float) -> None:
        """One fault after the other, each when the one before is repaired."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / EVERY))
            if perf_counter() >= end:
                return
            if not self._failed and len(self._line) == 2:
                await self._fail(self._random.choice(("cut", "still", "reset")))

    async def _fail(self, kind: str) -> None:
        line, self._failed = self._line, perf_counter()
        if kind == "reset":
            for one in line:
                if one.transport is not None and not one.transport.is_closing():
                    one.transport.pause_reading()
            await asyncio.sleep(BACKLOG)
        for one in line:
            one.stands_still = True
            if kind != "still":
                one.abort()
        if kind != "still" and self._line is line:
            self._line = ()


async def main(table: dict[str, str]) -> None:
    random = Random(1)
    async with asyncio.TaskGroup() as group:
        links = [Link(path, target, group, random) for path, target in table.items()]
        for link in links:
            await link.listen()
        say(ready=True)
        async for order in orders():
            say(**await fail(links, order["seconds"]))


async def fail(links: list[Link], seconds: float) -> dict[str, Any]:
    """Let *links* fail for *seconds*, and wait until they are repaired."""
    async with asyncio.TaskGroup() as group:
        for link in links:
            group.create_task(link.fail_until(perf_counter() + seconds))
    until = perf_counter() + PATIENCE
    while any(link.is_open for link in links) and perf_counter() < until:  # noqa: ASYNC110
        await asyncio.sleep(LOOK)
    times = [taken for link in links for taken in link.times]
    return {"times": times, "open": sum(link.is_open for link in links)}


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
