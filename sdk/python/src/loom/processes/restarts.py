"""When a process that failed is started again, and when it is not."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Protocol


class RestartPolicy(Protocol):
    """How patient to be; times in seconds. The settings of a plugin may be one."""

    @property
    def first_delay(self) -> float:
        """Until the first start after a failure."""
        ...

    @property
    def longest_delay(self) -> float: ...

    @property
    def jitter(self) -> float:
        """Share by which the delay varies at random."""
        ...

    @property
    def healthy_after(self) -> float:
        """Of running, after which earlier failures no longer count for the delay."""
        ...

    @property
    def max_restarts(self) -> int:
        """Within the window; one more is too many."""
        ...

    @property
    def restart_window(self) -> float: ...


class Restarts:
    """The back-off of one process and its limit; it reads no clock and starts nothing.

    The delay doubles from failure to failure, with jitter so that many that failed together do
    not come back together; time in good health resets it.
    """

    def __init__(self, policy: RestartPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._failures = 0
        self._times: deque[float] = deque(maxlen=policy.max_restarts)

    def next_delay(self, now: float, lasted: float) -> float | None:
        """Seconds until the next start after a failure at *now*; None = it failed too often.

        *lasted*: for how long it had run. Both in seconds, *now* on any clock that only goes on.
        """
        policy = self._policy
        if lasted >= policy.healthy_after:
            self._failures = 0
        delay = min(policy.first_delay * 2.0**self._failures, policy.longest_delay)
        delay *= 1 + policy.jitter * self._random.uniform(-1.0, 1.0)
        again = now + delay
        if policy.max_restarts == 0 or self._is_too_often(again):
            return None
        self._failures += 1
        self._times.append(again)
        return delay

    def _is_too_often(self, again: float) -> bool:
        is_full = len(self._times) == self._policy.max_restarts
        return is_full and again - self._times[0] < self._policy.restart_window

    def reset(self) -> None:
        """Forget the failures: somebody starts it on purpose, or it had time to recover."""
        self._failures = 0
        self._times.clear()
