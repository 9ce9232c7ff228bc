"""Which runs of a timer are due, missed or already done: decisions only, nothing waits or writes.

The record answers one question for every instant, whatever the wall clock did since: was this
one run? It keeps a cursor (everything up to it is settled) and the stretches of instants that
were run. The cursor follows a clock that is set back; the stretches make sure that an instant
met a second time is not run a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import msgspec

from loom_plugin_timers.schedule import STEP_TOLERANCE, Every, Instant, Schedule
from loom_plugin_timers.spec import TimerSpec

COUNT_LIMIT = 1_000
"""Missed instants are counted up to here; 1000 means 1000 or more."""
STRETCHES = 32
PHASES = 64

Reason = Literal["late", "interrupted"]


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the events of a timer made over the bus inherit from the request that made it."""

    thread_id: str = ""
    correlation_id: str = ""
    labels: tuple[str, ...] = ()


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The durable state of one timer; instants are UNIX milliseconds."""

    identity: str
    anchor: Instant
    cursor: Instant
    started: Instant | None = None
    """A run whose publish was begun and not seen to end."""
    ran: list[tuple[Instant, Instant]] = []
    """Stretches (first, last) in which every instant was run, oldest first."""
    phases: list[int] = []
    spec: TimerSpec | None = None
    """The definition of a timer made over the bus; None for one from loom.toml."""
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class Run:
    """One run to publish. *missed* counts the instants before it that get no run of their own."""

    scheduled: Instant
    missed: int
    recovered: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """Instants that get no run, and no later run that stands for them."""

    count: int
    first: Instant
    last: Instant
    reason: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: say what was *missed* (always the oldest part), then do the *runs*."""

    missed: Missed | None = None
    runs: tuple[Run, ...] = ()


class Ledger:
    """The book of one timer."""

    def __init__(self, name: str, spec: TimerSpec, schedule: Schedule, record: Record) -> None:
        self.name = name
        self.spec = spec
        self.record = record
        self._schedule = schedule

    def next_run(self) -> Instant | None:
        """The first instant after the cursor that was not run, plus its jitter."""
        instant = self._next_instant(self.record.cursor)
        return None if instant is None else instant + self._delay(instant)

    def follow_clock(self, now: Instant) -> None:
        """Accept a wall clock that was set back: what lies ahead again is due again, unless run."""
        if now < self.record.cursor:
            self.record.cursor = now
        self._restart_interval(now)

    def plan(self, now: Instant, catch_up: int) -> Plan:
        """What is due at *now*; of many missed runs at most the newest *catch_up* are run."""
        due = self._due(now)
        if not due:
            return Plan()
        kept = self._choose(due, now, catch_up)
        lost = due[: len(due) - len(kept)]
        started = self.record.started
        runs = tuple(
            Run(instant, len(lost) if instant == kept[0] else 0, instant == started)
            for instant in kept
        )
        if not lost or (kept and self.spec.missed == "run-once"):
            return Plan(runs=runs)
        reason: Reason = "interrupted" if lost == [started] else "late"
        return Plan(Missed(len(lost), lost[0], lost[-1], reason), runs)

    def start(self, run: Run) -> None:
        """Note that *run* is about to be published; save this before publishing."""
        self.record.cursor = run.scheduled - 1
        self.record.started = run.scheduled

    def abandon(self, run: Run) -> None:
        """Note that *run* was certainly not published."""
        self.settle(run.scheduled - 1)

    def finish(self, run: Run) -> None:
        """Note that *run* was published."""
        self._add(run.scheduled)
        self.settle(run.scheduled)

    def settle(self, moment: Instant) -> None:
        """Everything up to *moment* is decided."""
        self.record.started = None
        self.record.cursor = moment

    def _due(self, now: Instant) -> list[Instant]:
        cursor = self.record.cursor
        newest = self._schedule.latest(cursor, now, 1)
        end = newest[0] - 1 if newest and now < newest[0] + self._delay(newest[0]) else now
        due = self._schedule.latest(cursor, end, COUNT_LIMIT)
        return [instant for instant in due if self._stretch(instant) is None]

    def _choose(self, due: list[Instant], now: Instant, catch_up: int) -> list[Instant]:
        """The newest part of *due* that the policy runs."""
        chosen = due[-catch_up:] if self.spec.missed == "run-all" else due[-1:]
        tolerance = self.spec.tolerance_ms
        if tolerance is not None:
            chosen = [instant for instant in chosen if now - instant <= tolerance]
        if self.spec.missed == "skip":
            chosen = [instant for instant in chosen if instant != self.record.started]
        return chosen

    def _next_instant(self, moment: Instant) -> Instant | None:
        instant = self._schedule.after(moment)
        while instant is not None and (stretch := self._stretch(instant)) is not None:
            instant = self._schedule.after(stretch[1])
        return instant

    def _stretch(self, instant: Instant) -> tuple[Instant, Instant] | None:
        return next((s for s in self.record.ran if s[0] <= instant <= s[1]), None)

    def _add(self, instant: Instant) -> None:
        before = [s for s in self.record.ran if s[1] < instant]
        after = [s for s in self.record.ran if s[0] > instant]
        first, last = instant, instant
        if before and self._schedule.after(before[-1][1]) == instant:
            first = before.pop()[0]
        if after and self._schedule.after(instant) == after[0][0]:
            last = after.pop(0)[1]
        self.record.ran = [*before, (first, last), *after][-STRETCHES:]

    def _delay(self, instant: Instant) -> int:
        """The jitter of *instant*: spread over timers and instants, the same after a restart."""
        if not self.spec.jitter_ms:
            return 0
        return crc32(f"{self.name}@{instant}@{self.record.anchor}".encode()) % self.spec.jitter_ms

    def _restart_interval(self, now: Instant) -> None:
        """An interval never waits longer than its period because the clock was set back.

        It counts anew from *now*. Its new instants must differ from those that were run under the
        old count, so the phase is moved by a millisecond until it is one not used before.
        """
        schedule = self._schedule
        if not isinstance(schedule, Every):
            return
        coming = self._next_instant(now)
        if coming is None or coming - now <= schedule.period + STEP_TOLERANCE:
            return
        used = {*self.record.phases, schedule.anchor % schedule.period}
        anchor = now
        while anchor % schedule.period in used:
            anchor += 1
        self.record.phases = [*self.record.phases, schedule.anchor % schedule.period][-PHASES:]
        self.record.ran = []
        self.record.anchor = anchor
        self._schedule = Every(schedule.period, anchor)


def open_record(
    schedule: Schedule,
    saved: Record | None,
    now: Instant,
    spec: TimerSpec | None = None,
    origin: Origin | None = None,
) -> Record:
    """The record to go on with: the saved one if it is about the same instants, else a new one.

    A timer that is new or was changed has missed nothing: it did not exist in that form. What the
    old form ran last is kept, so that even a changed timer does not run one instant twice.
    """
    if saved is not None and saved.identity == schedule.identity:
        return saved
    return Record(
        identity=schedule.identity,
        anchor=now,
        cursor=now,
        ran=[(last, last) for _, last in saved.ran] if saved else [],
        spec=spec,
        origin=origin or Origin(),
    )
