"""Time for what must end neither early nor late because somebody sets the wall clock."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from loom_kernel import Clock

_starts: WeakKeyDictionary[Clock, float] = WeakKeyDictionary()


def steady(clock: Clock) -> float:
    """UNIX seconds: the wall's time when *clock* was first asked, moved on by the monotonic one.

    For moments at which something expires while this process lives. What is kept for the next
    process is compared with that one's wall clock.
    """
    monotonic = clock.monotonic()
    start = _starts.get(clock)
    if start is None:
        start = _starts[clock] = clock.time() - monotonic
    return start + monotonic
