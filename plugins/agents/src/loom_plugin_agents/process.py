"""One child process with agents: what it is told, what it reports, and how it is ended."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import Self

import msgspec
from loom.contracts import Command
from loom.hosting import Order, Report
from loom.processes import Process, Relay, Spawn

COMMAND = (sys.executable, "-P", "-m", "loom.hosting.worker")
"""`-P`: the folder in which the runtime was started is not where modules come from."""
LONGEST_REPORT = 1 << 16
PASSED_ON = {
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "PYTHONPATH", "SHELL", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
}  # fmt: skip
"""What a process needs to find its way; secrets are usually in the others."""


def environment(own: Mapping[str, str], more: list[str]) -> dict[str, str]:
    """What of the runtime's *own* environment a child receives: the usual, and *more*."""
    wanted = PASSED_ON | set(more)
    return {n: v for n, v in own.items() if n in wanted or n.startswith("LC_")}


class ChildProcess:
    """A worker of `loom.hosting`: what it prints is relayed, what it reports is kept here."""

    def __init__(self, process: Process, on_news: Callable[[], None]) -> None:
        self.pid = process.pid
        self.agents: tuple[str, ...] = ()
        self.is_ready = False
        self.error = ""
        self._process = process
        self._on_news = on_news

    @classmethod
    async def start(
        cls,
        order: Order,
        variables: Mapping[str, str],
        relay: Relay,
        spawn: Spawn,
        on_news: Callable[[], None],
    ) -> Self:
        """Start one that does *order*.

        *on_news* is called when it reports something and when it ends.

        Raises:
            OSError: the system does not let it start.
        """
        command = Command(COMMAND, cwd=".", environment=variables)
        process = await Process.start(command, spawn, errors=relay, limit=LONGEST_REPORT)
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        self = cls(process, on_news)
        spawn(self._wait(), f"news/{self.pid}")
        spawn(self._read_reports(process.stdout), f"reports/{self.pid}")
        return self

    @property
    def code(self) -> int | None:
        """Its exit code, once it has ended; below 0 the signal that ended it."""
        return self._process.code

    # -- news --------------------------------------------------------------------------------

    async def _wait(self) -> None:
        await self._process.wait()
        self._on_news()

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
        self._process.interrupt()
        await self.wait_ended(patience)
        await self.aclose()

    async def wait_ended(self, seconds: float) -> bool:
        """Wait for its end, *seconds* at most; whether it came."""
        return await self._process.wait_ended(seconds)

    async def aclose(self) -> None:
        """Kill it if it runs, hear its last words, and give back what it held."""
        await self._process.aclose()

    def close(self) -> None:
        """Kill it, and hear nothing more of it."""
        self._process.close()


async def _line(reports: asyncio.StreamReader) -> bytes:
    try:
        return await reports.readline()
    except ValueError:  # longer than any report
        return b"{"
