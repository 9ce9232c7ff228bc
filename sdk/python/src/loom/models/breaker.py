"""A circuit breaker: what fails again and again is left alone, then tried once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from loom_kernel import Clock

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Counts failures in a row. After *failures* it is open for *reset* seconds, then half open.

    Half open it admits one, whose outcome decides. Whoever was admitted before it opened has no
    say in whether it closes.
    """

    def __init__(self, failures: int, reset: float, clock: Clock) -> None:
        self._most = failures
        self._reset = reset
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._probe: Permit | None = None
        self._round = 0

    @property
    def state(self) -> State:
        """Whether it admits all, none, or one."""
        if self._opened is None:
            return "closed"
        return "open" if self.left > 0 else "half_open"

    @property
    def left(self) -> float:
        """Seconds until it admits one."""
        if self._opened is None:
            return 0.0
        return max(self._opened + self._reset - self._clock.monotonic(), 0.0)

    def admit(self) -> Permit | None:
        """A permit to try, which has to be used or closed; None = it is left alone now."""
        if self.state == "closed":
            return Permit(self._settle, self._round)
        if self.state == "open" or self._probe is not None:
            return None
        self._probe = Permit(self._settle, self._round)
        return self._probe

    def _settle(self, permit: Permit, outcome: bool | None) -> None:
        if permit.round != self._round:
            return  # it was admitted before the breaker opened, or closed again
        is_probe, self._probe = permit is self._probe, None
        if outcome is None:
            return
        if outcome:
            self._failures = 0
            if is_probe:
                self._opened = None
                self._round += 1
            return
        self._failures += 1
        if is_probe or self._failures >= self._most:
            self._opened = self._clock.monotonic()
            self._failures = 0
            self._round += 1


class Permit:
    """One try. Its first word counts."""

    def __init__(self, settle: Callable[[Permit, bool | None], None], round: int) -> None:
        self.round = round
        self._settle: Callable[[Permit, bool | None], None] | None = settle

    def succeed(self) -> None:
        """The endpoint works."""
        self._say(True)

    def fail(self) -> None:
        """It does not."""
        self._say(False)

    def close(self) -> None:
        """Nobody knows: the caller went, or the failure was not the endpoint's."""
        self._say(None)

    def _say(self, outcome: bool | None) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(self, outcome)
