"""Running one program to its end: confined, bounded in time and output, with nothing left of it."""

from __future__ import annotations

import asyncio

import msgspec
from loom.contracts import Command
from loom.processes import Process
from loom_kernel import Host

MOST_OUTPUT = 1 << 20
"""Bytes that are kept of each of its two streams; a program that says more is ended."""
PATIENCE = 0.1
"""Seconds between asking a program to end and killing it."""
_CHUNK = 1 << 16


class Ended(msgspec.Struct, frozen=True):
    """How a program ended, and what it said."""

    code: int
    """Its exit code; below 0 the signal that ended it."""
    output: str
    errors: str
    is_cut: bool
    """Whether it said more than is kept, and was ended for that."""


class Heard:
    """One stream of a program, up to a bound."""

    def __init__(self, enough: asyncio.Event) -> None:
        self._content = bytearray()
        self._enough = enough

    async def hear(self, stream: asyncio.StreamReader) -> None:
        """Read *stream* to its end, or until it is enough."""
        while chunk := await stream.read(_CHUNK):
            self._content += chunk
            if len(self._content) > MOST_OUTPUT:
                self._enough.set()
                return

    @property
    def text(self) -> str:
        """What was heard, as text."""
        return self._content[:MOST_OUTPUT].decode("utf-8", "replace")


async def run(host: Host, command: Command, given: str) -> Ended:
    """Run *command*, with *given* as its input; if this is cancelled, it has ended.

    Raises:
        OSError: it cannot be started.
    """
    enough = asyncio.Event()
    output, errors = Heard(enough), Heard(enough)
    process = await Process.start(command, host.spawn, errors=errors.hear)
    try:
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(_feed(process, given.encode()))
            watching = group.create_task(_stop(process, enough))
            await output.hear(process.stdout)
            await process.wait()
            watching.cancel()
            feeding.cancel()
    finally:
        await _end(process)
    return Ended(process.code or 0, output.text, errors.text, enough.is_set())


async def _feed(process: Process, content: bytes) -> None:
    try:
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return  # it does not want to hear it


async def _stop(process: Process, enough: asyncio.Event) -> None:
    await enough.wait()
    process.kill()


async def _end(process: Process) -> None:
    """Also while this is cancelled once more, it does not outlive us."""
    try:
        if process.code is None:
            process.terminate()
            await process.wait_ended(PATIENCE)
    finally:
        await process.aclose()
