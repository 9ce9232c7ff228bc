"""Time, as the only part of Loom that may read it.

Everything below asks a `Clock`, and every wait goes through the event loop's timers. A loop
with virtual time (`loom_kernel.testing`) therefore simulates a whole runtime without a change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Wall time and waiting."""

    time: Callable[[], float]
    """UNIX time in seconds, UTC. May jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never jumps."""

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""

    async def sleep_until(self, moment: float) -> None:
        """Wait until `time()` has reached *moment*, however the wall clock is set meanwhile."""


class RealClock:
    """The machine's clock. It notices a wall clock that was set within `recheck` seconds."""

    time: Callable[[], float] = staticmethod(time.time)

    def __init__(self, recheck: float = 60.0) -> None:
        self._recheck = recheck

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: float) -> None:
        while (left := moment - self.time()) > 0:  # noqa: ASYNC110  # the wall clock may be set
            await asyncio.sleep(min(left, self._recheck))
