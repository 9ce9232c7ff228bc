"""When a server that failed is started again, and when it is not."""

from __future__ import annotations

from collections import deque
from random import Random

from loom_plugin_mcp.settings import Settings

JITTER = 0.2
"""Share by which a delay varies, so that many that failed together do not come back together."""


class Restarts:
    """The back-off of one server and its limit; it reads no clock and starts nothing."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._failures = 0
        self._times: deque[float] = deque(maxlen=settings.max_restarts)

    def next_delay(self, now: float, lasted: float) -> float | None:
        """Seconds until the next start after a failure at *now*; None = it failed too often.

        *lasted*: for how long it had run. Both in seconds, *now* on any clock that only goes on.
        """
        settings = self._settings
        if lasted >= settings.restart_window:
            self._failures = 0
        delay = min(settings.first_delay * 2.0**self._failures, settings.longest_delay)
        delay *= 1 + JITTER * self._random.uniform(-1.0, 1.0)
        if settings.max_restarts == 0 or self._is_too_often(now + delay):
            return None
        self._failures += 1
        self._times.append(now + delay)
        return delay

    def _is_too_often(self, again: float) -> bool:
        is_full = len(self._times) == self._settings.max_restarts
        return is_full and again - self._times[0] < self._settings.restart_window

    def reset(self) -> None:
        """Forget the failures: somebody starts it on purpose."""
        self._failures = 0
        self._times.clear()
