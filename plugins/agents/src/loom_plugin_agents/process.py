"""One child process with agents: its pipes, what it reports, and how it is ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Self

import msgspec
from loom.hosting import Order, Report

COMMAND = (sys.executable, "-P", "-m", "loom.hosting.worker")
"""`-P`: the folder in which the runtime was started is not where modules come from."""
LAST_WORDS = 0.5
"""Seconds that what a process printed has to arrive after its end."""
LONGEST_REPORT = 1 << 16
PASSED_ON = {
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "PYTHONPATH", "SHELL", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
}  # fmt: skip
"""What a process needs to find its way; secrets are usually in the others."""

Spawn = Callable[[Coroutine[Any, Any, None], str], object]


def environment(own: Mapping[str, str], more: list[str]) -> dict[str, str]:
    """What of the runtime's *own* environment a child receives: the usual, and *more*."""
    wanted = PASSED_ON | set(more)
    return {n: v for n, v in own.items() if n in wanted or n.startswith("LC_")}


class ChildProcess:
    """A process in a session of its own, and the group of all that it starts.

    The pipes are not the subprocess module's: its end is known at once, even if something that
    it started holds them open.
    """

    def __init__(self, process: asyncio.subprocess.Process, on_news: Callable[[], None]) -> None:
        self.pid = process.pid
        self.code: int | None = None
        """Its exit code, once it has ended; below 0 the signal that ended it."""
        self.agents: tuple[str, ...] = ()
        self.is_ready = False
        self.error = ""
        self._process = process
        self._on_news = on_news
        self._ended = asyncio.Event()
        self._transports: list[asyncio.BaseTransport] = []
        self._last_words = asyncio.Event()

    @classmethod
    async def start(
        cls,
        order: Callable[[int], Order],
        variables: Mapping[str, str],
        relay: Callable[[asyncio.StreamReader], Coroutine[Any, Any, None]],
        spawn: Spawn,
        on_news: Callable[[], None],
    ) -> Self:
        """Start one that does *order* (of the descriptor for its reports).

        *on_news* is called when it reports something and when it ends.

        Raises:
            OSError: the system does not let it start.
        """
        pipes = [os.pipe() for _ in range(3)]
        (order_out, order_in), (printed, print_to), (reported, report_to) = pipes
        theirs, ours = (order_out, print_to, report_to), (order_in, printed, reported)
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, stdin=order_out, stdout=print_to, stderr=print_to,
                pass_fds=(report_to,), start_new_session=True, env=dict(variables),
            )  # fmt: skip
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self = cls(process, on_news)
        try:
            await self._attend(ours, msgspec.json.encode(order(report_to)), relay, spawn)
        except BaseException:
            self.close()
            raise
        return self

    async def _attend(
        self,
        ours: tuple[int, int, int],
        order: bytes,
        relay: Callable[[asyncio.StreamReader], Coroutine[Any, Any, None]],
        spawn: Spawn,
    ) -> None:
        order_in, printed, reported = ours
        spawn(self._wait(), f"process/{self.pid}")
        words = await self._reader(printed, 1 << 13)
        reports = await self._reader(reported, LONGEST_REPORT)
        spawn(self._hear(relay(words)), f"output/{self.pid}")
        spawn(self._read_reports(reports), f"reports/{self.pid}")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(order_in, "wb", buffering=0)
        )
        self._transports.append(transport)
        transport.write(order + b"\n")

    async def _reader(self, descriptor: int, limit: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        self._transports.append(transport)
        return reader

    # -- news --------------------------------------------------------------------------------

    async def _wait(self) -> None:
        self.code = await self._process.wait()
        self._signal_group(signal.SIGKILL)  # what it started goes with it
        self._ended.set()
        self._on_news()

    async def _hear(self, relay: Coroutine[Any, Any, None]) -> None:
        try:
            await relay
        finally:
            self._last_words.set()

    async def _read_reports(self, reports: asyncio.StreamReader) -> None:
        """Take its reports; one that makes no sense is as good as none."""
        while line := await _line(reports):
            try:
                report = msgspec.json.decode(line, type=Report)
            except msgspec.DecodeError as error:
                self.error = f"its report makes no sense: {error}"
                return
            self.agents = report.agents or self.agents
            self.is_ready = self.is_ready or report.is_ready
            self.error = report.error or self.error
            self._on_news()

    # -- the end -----------------------------------------------------------------------------

    async def end(self, patience: float) -> None:
        """Ask it to end, and kill it and all that it started after *patience* seconds."""
        if self.code is None:
            self._process.terminate()
        await self.wait_ended(patience)
        self._signal_group(signal.SIGKILL)
        await self._ended.wait()

    async def wait_ended(self, seconds: float) -> bool:
        """Wait for its end, *seconds* at most; whether it came."""
        return await _wait(self._ended, seconds)

    async def aclose(self) -> None:
        """Hear its last words and give back what it held; kills it if it runs."""
        try:
            if self.code is None:
                self._signal_group(signal.SIGKILL)
            await self._ended.wait()
            await _wait(self._last_words, LAST_WORDS)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it, and hear nothing more of it."""
        if self.code is None:
            self._signal_group(signal.SIGKILL)
        for transport in self._transports:
            transport.close()

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # nobody is left


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for *event*, *seconds* at most; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def _line(reports: asyncio.StreamReader) -> bytes:
    try:
        return await reports.readline()
    except ValueError:  # longer than any report
        return b"{"
