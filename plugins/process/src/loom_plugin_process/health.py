"""Watching over a plugin that runs: whether it answers, and whether it stops what it should."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from loom_kernel import Host

from loom_plugin_process.failures import reason_of
from loom_plugin_process.line import Line
from loom_plugin_process.settings import Settings

LOOK = 0.25
"""Seconds between two looks whether a cancelled call has ended."""


class Checks:
    """The checks of one plugin.

    *is_waited_for* tells whether somebody still waits for the call of that id; *wake* is called
    when the plugin should be ended, which `distrust` then says.
    """

    def __init__(
        self, host: Host, is_waited_for: Callable[[str], bool], wake: Callable[[], None]
    ) -> None:
        self.message = ""
        """What it says of itself if it is not well."""
        self.distrust = ""
        """Why its process should be ended."""
        self._host = host
        self._settings: Settings = host.settings
        self._is_waited_for = is_waited_for
        self._wake = wake
        self._line: Line | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, line: Line) -> None:
        """Watch over the process at the other end of *line*."""
        self._line = line
        self.distrust = self.message = ""
        self._spawn(self._watch(line), "health")

    def end(self) -> None:
        """Watch no more."""
        self._line = None
        for task in self._tasks:
            task.cancel()

    def unfinished(self, line: Line, id: str) -> None:
        """The call or event *id* was cancelled, or is late: see to it that it ends."""
        if line is self._line:
            self._spawn(self._watch_end(line, id), f"unfinished/{id}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._host.spawn(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_distrust(self, line: Line, reason: str) -> None:
        if line is self._line:
            self.distrust = reason
            self._wake()

    async def _watch(self, line: Line) -> None:
        """Ask again and again how it is, until it does not answer."""
        settings, clock = self._settings, self._host.clock
        missed, due = 0, clock.monotonic()
        while missed < settings.health_misses:
            due += settings.health_interval
            await clock.sleep(max(due - clock.monotonic(), 0.0))
            missed = 0 if await self._ask(line) is not None else missed + 1
        self._set_distrust(line, f"it did not answer {missed} health checks in a row")

    async def _watch_end(self, line: Line, id: str) -> None:
        """Distrust the plugin if the cancelled call or event *id* does not end."""
        settings, clock = self._settings, self._host.clock
        until = clock.monotonic() + settings.cancel_timeout
        while (running := await self._ask(line)) is None or self._still(id, running):
            if clock.monotonic() >= until:
                late = f"{id} did not end within {settings.cancel_timeout:g} s of its cancellation"
                self._set_distrust(line, late)
                return
            await clock.sleep(LOOK)

    def _still(self, id: str, running: frozenset[str]) -> bool:
        """Whether *id* runs although nobody waits for it; another call may have the same id."""
        return id in running and not self._is_waited_for(id)

    async def _ask(self, line: Line) -> frozenset[str] | None:
        """The ids of the calls that run; None if it does not say."""
        try:
            found = await line.health(self._settings.health_timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                self._host.log.debug("health: %s", reason_of(error))
            return None
        self.message = "" if found.healthy else (found.message[:200] or "it is not well")
        return frozenset(found.running)
