"""How fast a plugin may publish."""

from __future__ import annotations

from loom_kernel import Clock


class Pace:
    """Lets *rate* things a second happen, and as many at once after a rest."""

    def __init__(self, clock: Clock, rate: int) -> None:
        self._clock = clock
        self._rate = float(rate)
        self._credit = self._rate
        self._last = clock.monotonic()

    async def wait(self) -> None:
        """Wait until one more may happen."""
        now = self._clock.monotonic()
        earned = (now - self._last) * self._rate
        self._credit = min(self._credit + earned, self._rate) - 1.0
        self._last = now
        if self._credit < 0:
            await self._clock.sleep(-self._credit / self._rate)
