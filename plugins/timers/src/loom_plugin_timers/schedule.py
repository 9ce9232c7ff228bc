"""When a timer is due: pure arithmetic over instants, without a clock, a file or a bus.

An instant is a whole number of UNIX milliseconds (UTC). Integers make two things exact that
floats do not: an interval never drifts, and "was this instant run already?" is an equality.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim

Instant = int
"""UNIX milliseconds, UTC."""

DAY = 86_400_000
STEP_TOLERANCE = 1_000
"""Milliseconds a wall clock may be nudged back before an interval starts anew."""


class Schedule(Protocol):
    """The instants of one timer, in order."""

    @property
    def identity(self) -> str:
        """Text that changes exactly when the instants do."""
        ...

    def after(self, moment: Instant) -> Instant | None:
        """The first instant strictly after *moment*, or None when there is none."""
        ...

    def latest(self, start: Instant, end: Instant, limit: int) -> list[Instant]:
        """The newest *limit* instants with start < instant <= end, oldest first."""
        ...


def to_datetime(instant: Instant, zone: ZoneInfo | None = None) -> datetime:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    return moment.astimezone(zone) if zone else moment


def to_instant(moment: datetime) -> Instant:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def isoformat(instant: Instant) -> str:
    """UTC with a trailing Z; milliseconds only where there are any."""
    precision = "milliseconds" if instant % 1000 else "seconds"
    return to_datetime(instant).isoformat(timespec=precision).replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Once:
    """One instant."""

    instant: Instant

    @property
    def identity(self) -> str:
        return f"at {isoformat(self.instant)}"

    def after(self, moment: Instant) -> Instant | None:
        return self.instant if self.instant > moment else None

    def latest(self, start: Instant, end: Instant, limit: int) -> list[Instant]:
        return [self.instant] if limit and start < self.instant <= end else []


@dataclass(frozen=True, slots=True)
class Every:
    """Whole periods counted from an anchor; the anchor itself is not an instant."""

    period: int
    anchor: Instant

    @property
    def identity(self) -> str:
        return f"every {self.period} ms"

    def after(self, moment: Instant) -> Instant | None:
        periods = max((moment - self.anchor) // self.period, 0) + 1
        return self.anchor + periods * self.period

    def latest(self, start: Instant, end: Instant, limit: int) -> list[Instant]:
        first = max((start - self.anchor) // self.period, 0) + 1
        last = (end - self.anchor) // self.period
        first = max(first, last - limit + 1)
        return [self.anchor + count * self.period for count in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone, by cronsim (Debian cron's rules for clock changes).

    A time that the clocks skip runs once, right after the gap; a time that they repeat runs once,
    the first time. Expressions with `*` in the minute or hour follow real time instead, so
    "every half hour" stays every half hour through both nights.
    """

    expression: str
    zone: ZoneInfo

    @property
    def identity(self) -> str:
        return f"cron {self.expression} in {self.zone.key}"

    def after(self, moment: Instant) -> Instant | None:
        return next(self._instants(moment), None)

    def latest(self, start: Instant, end: Instant, limit: int) -> list[Instant]:
        found = list(islice(self._between(start, end), limit + 1))
        if len(found) > limit:
            near = max(start, self._walk_back(start, end, limit))
            found = list(deque(self._between(near, end), maxlen=limit))
        return found

    def _instants(self, moment: Instant) -> Iterator[Instant]:
        last = moment
        for due in CronSim(self.expression, to_datetime(moment, self.zone)):
            # Where local time is repeated or skipped, cronsim may yield an instant twice or one
            # that lies before the start: only instants that move forward are real.
            if (instant := to_instant(due)) > last:
                last = instant
                yield instant

    def _between(self, start: Instant, end: Instant) -> Iterator[Instant]:
        for instant in self._instants(start):
            if instant > end:
                return
            yield instant

    def _walk_back(self, start: Instant, end: Instant, limit: int) -> Instant:
        """A moment with at least *limit* instants up to *end*, without visiting every one before.

        Backwards, cronsim treats clock changes a little differently, hence the two days of margin
        and the walk forward from there.
        """
        back = CronSim(self.expression, to_datetime(end, self.zone), reverse=True)
        moments = takewhile(lambda moment: moment > start, map(to_instant, back))
        oldest = deque(islice(moments, limit), maxlen=1)
        return (oldest[0] if oldest else end) - 2 * DAY
