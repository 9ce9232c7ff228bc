"""When a worker that was lost is replaced, and when it is not."""

from __future__ import annotations

from collections import deque

FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
HEALTHY_AFTER = 10.0
"""Seconds without a loss after which the delay begins anew."""


class Restarts:
    """Back-off and limit of one module's workers; it reads no clock and starts nothing.

    The first loss is made good at once; then the delay doubles from loss to loss.
    """

    def __init__(self, most: int, window: float) -> None:
        self._window = window
        self._most = most
        self._times: deque[float] = deque(maxlen=max(most, 1))
        self._losses = 0
        self._last = 0.0

    def next_delay(self, now: float) -> float | None:
        """Seconds until the next start after a loss at *now*; None = it happened too often."""
        if now - self._last > HEALTHY_AFTER:
            self._losses = 0
        self._last = now
        is_full = len(self._times) == self._most and now - self._times[0] < self._window
        if self._most == 0 or is_full:
            return None
        self._times.append(now)
        self._losses += 1
        return 0.0 if self._losses == 1 else min(FIRST_DELAY * 2.0**self._losses, LONGEST_DELAY)
