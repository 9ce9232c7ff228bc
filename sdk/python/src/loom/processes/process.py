"""One child process: its pipes, and how it and all that it started are ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Self

from loom.contracts import Command

LAST_WORDS = 0.5
"""Seconds that what a process said has to arrive after its end."""
LONGEST_LINE = 1 << 20
"""Bytes up to which `readline` on its output works; `read` knows no such bound."""

Spawn = Callable[[Coroutine[Any, Any, None], str], object]
"""`Host.spawn`."""
Relay = Callable[[asyncio.StreamReader], Coroutine[Any, Any, None]]


class Process:
    """A process in a session of its own, and the group of all that it starts.

    Its pipes are not the subprocess module's: its end is known at once, even if something that
    it started holds them open. `end` asks first; `kill` does not. Whoever starts one calls
    `aclose` in the end, whatever happened.
    """

    def __init__(self, process: asyncio.subprocess.Process, command: Command) -> None:
        self.pid = process.pid
        self.code: int | None = None
        """Its exit code, once it has ended; below 0 the signal that ended it."""
        self.stdin: asyncio.StreamWriter
        self.stdout: asyncio.StreamReader
        self._command = command
        self._process = process
        self._ended = asyncio.Event()
        self._heard = asyncio.Event()
        self._transports: list[asyncio.BaseTransport] = []

    @classmethod
    async def start(
        cls,
        command: Command,
        spawn: Spawn,
        *,
        errors: Relay,
        pass_fds: Iterable[int] = (),
        limit: int = LONGEST_LINE,
    ) -> Self:
        """Start *command*; *errors* reads what it says on its standard error, to the end.

        *spawn* owns the tasks that watch it. It should be confined, or at least contained, by a
        `Sandbox`: that is what ends it when this process is killed.

        Raises:
            OSError: the system does not let it start.
        """
        started, ours = await _launch(command, tuple(pass_fds))
        self = cls(started, command)
        try:
            await self._attend(ours, spawn, errors, limit)
        except BaseException:
            self.close()
            raise
        return self

    async def _attend(
        self, ours: tuple[int, int, int], spawn: Spawn, errors: Relay, limit: int
    ) -> None:
        input_in, output_out, error_out = ours
        spawn(self._wait(), f"process/{self.pid}")
        self.stdin = await self._writer(input_in)
        self.stdout = await self._reader(output_out, limit)
        spawn(self._hear(errors, await self._reader(error_out, 1 << 13)), f"errors/{self.pid}")

    async def _reader(self, descriptor: int, limit: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        self._transports.append(transport)
        return reader

    async def _writer(self, descriptor: int) -> asyncio.StreamWriter:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop),
            os.fdopen(descriptor, "wb", buffering=0),
        )
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, loop)

    # -- news --------------------------------------------------------------------------------

    async def _wait(self) -> None:
        self.code = await self._process.wait()
        self._signal_group(signal.SIGKILL)  # what it started goes with it
        self._ended.set()

    async def _hear(self, relay: Relay, stream: asyncio.StreamReader) -> None:
        try:
            await relay(stream)
        finally:
            self._heard.set()

    async def wait(self) -> int:
        """Wait for its end; its exit code, below 0 the signal that ended it."""
        await self._ended.wait()
        return self.code if self.code is not None else 0

    async def wait_ended(self, seconds: float) -> bool:
        """Wait for its end, *seconds* at most; whether it came."""
        return await _wait(self._ended, seconds)

    # -- the end -----------------------------------------------------------------------------

    async def end(self, patience: float = 2.0) -> None:
        """Close its input, terminate it after *patience* seconds, kill it after as many more."""
        if self.code is None:
            self.stdin.close()
            if not await self.wait_ended(patience):
                self.terminate()
                await self.wait_ended(patience)
        await self.aclose()

    def interrupt(self) -> None:
        """Send SIGTERM to it alone: what it started is its own to end."""
        if self.code is None:
            _send(self.pid, signal.SIGTERM)

    def terminate(self) -> None:
        """Send SIGTERM to it, inside its sandbox, and to all that it started."""
        inner = list(descendants(self.pid))
        for pid in inner:
            _send(pid, signal.SIGTERM)
        if not (self._command.is_wrapped and inner):
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and all that it started, at once."""
        if self.code is None:
            for pid in list(descendants(self.pid)):
                _send(pid, signal.SIGKILL)
            self._signal_group(signal.SIGKILL)

    async def aclose(self) -> None:
        """Kill it if it runs, hear its last words, and give back what it held."""
        try:
            self.kill()
            await self._ended.wait()
            await _wait(self._heard, LAST_WORDS)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it, and hear nothing more of it."""
        self.kill()
        for transport in self._transports:
            transport.close()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # nobody is left


async def _launch(
    command: Command, pass_fds: tuple[int, ...]
) -> tuple[asyncio.subprocess.Process, tuple[int, int, int]]:
    """Start *command*; the process, and our ends of its input, its output and its errors."""
    (input_out, input_in), (output_out, output_in), (error_out, error_in) = (
        os.pipe() for _ in range(3)
    )
    theirs, ours = (input_out, output_in, error_in), (input_in, output_out, error_out)
    try:
        started = await asyncio.create_subprocess_exec(
            *command.argv, stdin=input_out, stdout=output_in, stderr=error_in,
            pass_fds=pass_fds, start_new_session=True, cwd=command.cwd,
            env=dict(command.environment),
        )  # fmt: skip
    except BaseException:
        for descriptor in ours:
            os.close(descriptor)
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return started, ours


def descendants(pid: int) -> Iterable[int]:
    """The processes that *pid* started, theirs included (Linux; nothing elsewhere)."""
    try:
        listed = [task.joinpath("children").read_text() for task in _tasks(pid)]
    except OSError:  # it has just ended, or there is no such list here
        return
    for child in " ".join(listed).split():
        yield int(child)
        yield from descendants(int(child))


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for *event*, *seconds* at most; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
