"""A real proxy between a client and a bridge, whose lines can be cut, frozen and thawed."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from pathlib import Path
from random import Random


class Cutter:
    """Passes bytes both ways between *path*, where it listens, and *target*."""

    def __init__(self, path: Path, target: Path, scheme: str = "unix") -> None:
        self.scheme = scheme
        self.path = path
        self._target = target
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.passed = 0

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.path}"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self.path)

    def cut(self, share: float = 1.0, random: Random | None = None) -> None:
        """End every line, or that *share* of them, at once and without a word."""
        for line in list(self._lines):
            if random is None or random.random() < share:
                line.transport.abort()

    def freeze(self) -> None:
        """Let the lines stand and nothing pass: a half-open connection."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
        self.thaw()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        self._lines |= {writer, back}
        async with asyncio.TaskGroup() as group:
            for source, sink in ((reader, back), (there, writer)):
                task = group.create_task(self._pass(source, sink))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        self._lines -= {writer, back}

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError), closing(sink):
            while data := await source.read(65536):
                await self._flows.wait()
                self.passed += len(data)
                sink.write(data)
                await sink.drain()
