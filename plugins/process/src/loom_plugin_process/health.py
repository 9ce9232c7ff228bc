"""Watching over a plugin that runs: whether it answers, and whether it stops what it should."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from loom_kernel import Host

from loom_plugin_process.failures import reason_of
from loom_plugin_process.line import Line
from loom_plugin_process.offers import Offers
from loom_plugin_process.settings import Settings

LOOK = 0.25
"""Seconds between two looks whether a cancelled call has ended."""


class Checks:
    """The checks of one plugin; *distrust* hears why it should be ended."""

    def __init__(self, host: Host, offers: Offers, distrust: Callable[[Line, str], None]) -> None:
        self.message = ""
        """What it says of itself if it is not well."""
        self._host = host
        self._offers = offers
        self._settings: Settings = host.settings
        self._distrust = distrust

    async def watch(self, line: Line) -> None:
        """Ask again and again how it is, until it does not answer."""
        settings, clock = self._settings, self._host.clock
        missed, due = 0, clock.monotonic()
        while missed < settings.health_misses:
            due += settings.health_interval
            await clock.sleep(max(due - clock.monotonic(), 0.0))
            missed = 0 if await self._ask(line) is not None else missed + 1
        self._distrust(line, f"it did not answer {missed} health checks in a row")

    async def watch_end(self, line: Line, id: str) -> None:
        """Distrust the plugin if the cancelled call or event *id* does not end."""
        settings, clock = self._settings, self._host.clock
        until = clock.monotonic() + settings.cancel_timeout
        while (running := await self._ask(line)) is None or self._still(id, running):
            if clock.monotonic() >= until:
                late = f"{id} did not end within {settings.cancel_timeout:g} s of its cancellation"
                self._distrust(line, late)
                return
            await clock.sleep(LOOK)

    def _still(self, id: str, running: frozenset[str]) -> bool:
        """Whether *id* runs although nobody waits for it; another call may have the same id."""
        return id in running and id not in self._offers.running

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
