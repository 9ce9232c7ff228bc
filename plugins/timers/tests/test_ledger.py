from __future__ import annotations

from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom_plugin_timers.ledger import COUNT_LIMIT, Ledger, Missed, Plan, Record, Run, open_record
from loom_plugin_timers.schedule import DAY, Instant
from loom_plugin_timers.spec import TimerSpec

UTC = ZoneInfo("UTC")
MINUTE, HOUR = 60_000, 3_600_000
START = 1_800_000_000_000 // DAY * DAY  # a midnight, UTC
YEAR = 365 * DAY


class Life:
    """A timer over several lives of its process; its record passes through JSON in between."""

    def __init__(self, catch_up: int = 100, **keys: Any) -> None:
        self.spec = msgspec.convert(keys, TimerSpec)
        self.catch_up = catch_up
        self.now: Instant = START
        self.disk: bytes | None = None
        self.published: list[Run] = []
        self.missed: list[Missed] = []
        self.open()

    def open(self) -> None:
        saved = msgspec.json.decode(self.disk, type=Record) if self.disk else None
        record = open_record(self.spec.schedule(UTC, self.now), saved, self.now)
        self.ledger = Ledger("t", self.spec, self.spec.schedule(UTC, record.anchor), record)
        if record is not saved:
            self.save()

    def save(self) -> None:
        self.disk = msgspec.json.encode(self.ledger.record)

    def wake(self, at: Instant, crash: str = "") -> Plan:
        """Look at the clock at *at*; *crash* ends the process at a step of the first run."""
        self.now = at
        self.ledger.follow_clock(at)
        plan = self.ledger.plan(at, self.catch_up)
        if plan.missed:
            self.missed.append(plan.missed)
            self.ledger.settle(plan.missed.last)
            self.save()
        for run in plan.runs:
            if crash == "before start":
                return plan
            self.ledger.start(run)
            self.save()
            if crash == "before publish":
                return plan
            if crash == "bus closed":
                self.ledger.abandon(run)
                self.save()
                return plan
            self.published.append(run)
            if crash == "before finish":
                return plan
            self.ledger.finish(run)
            self.save()
        return plan

    def live_until(self, end: Instant) -> None:
        """Wake exactly when due, as the timekeeper does."""
        while (due := self.ledger.next_run()) is not None and due <= end:
            self.wake(max(due, self.now))
        self.wake(end)

    @property
    def instants(self) -> list[Instant]:
        return [run.scheduled - START for run in self.published]


def test_each_instant_runs_once_at_its_time() -> None:
    life = Life(cron="0 8 * * *")
    life.live_until(START + 3 * DAY)
    assert life.instants == [8 * HOUR, DAY + 8 * HOUR, 2 * DAY + 8 * HOUR]
    assert not life.missed


def test_a_new_timer_has_missed_nothing_and_an_interval_begins_with_a_full_period() -> None:
    life = Life(every="1h")
    assert life.wake(START) == Plan()
    assert life.ledger.next_run() == START + HOUR


@pytest.mark.feature("X-08")
def test_run_once_lets_the_newest_stand_for_all() -> None:
    life = Life(cron="0 * * * *", missed="run-once")
    life.open()
    assert life.wake(START + 5 * HOUR + MINUTE).runs == (Run(START + 5 * HOUR, 4, False),)
    assert not life.missed


@pytest.mark.feature("X-08")
def test_skip_says_what_it_skips() -> None:
    life = Life(cron="0 * * * *", missed="skip")
    life.open()
    plan = life.wake(START + 5 * HOUR + 2 * MINUTE)
    assert plan == Plan(Missed(5, START + HOUR, START + 5 * HOUR, "late"))
    assert life.ledger.next_run() == START + 6 * HOUR


@pytest.mark.feature("X-08")
def test_run_all_repeats_each_in_order() -> None:
    life = Life(cron="0 * * * *", missed="run-all")
    life.open()
    life.wake(START + 3 * HOUR + MINUTE)
    assert life.instants == [HOUR, 2 * HOUR, 3 * HOUR]


def test_run_all_is_bounded_and_says_what_it_leaves_out() -> None:
    life = Life(cron="0 * * * *", missed="run-all", catch_up=2)
    life.wake(START + 5 * HOUR)
    assert life.instants == [4 * HOUR, 5 * HOUR]
    assert life.missed == [Missed(3, START + HOUR, START + 3 * HOUR, "late")]


def test_nothing_runs_later_than_max_late() -> None:
    life = Life(cron="0 8 * * *", max_late="30m")
    life.wake(START + 8 * HOUR + 31 * MINUTE)
    life.wake(START + DAY + 8 * HOUR + 29 * MINUTE)
    assert life.instants == [DAY + 8 * HOUR]
    assert [missed.count for missed in life.missed] == [1]


def test_ten_years_away_are_counted_to_a_limit() -> None:
    life = Life(cron="* * * * *")
    plan = life.wake(START + 10 * YEAR)
    assert plan.runs == (Run(START + 10 * YEAR, COUNT_LIMIT - 1, False),)


@pytest.mark.feature("X-08")
@pytest.mark.parametrize("policy", ["skip", "run-once", "run-all"])
@pytest.mark.parametrize(
    "crash", ["before start", "before publish", "bus closed", "before finish", ""]
)
def test_a_restart_across_the_fire_time_neither_loses_nor_doubles(policy: str, crash: str) -> None:
    life = Life(cron="0 8 * * *", missed=policy)
    due = START + 8 * HOUR
    life.wake(due, crash=crash)
    life.open()
    life.wake(due + 13_000)
    life.live_until(due + DAY)
    seen = Counter(run.scheduled for run in life.published)
    assert seen.pop(due + DAY) == 1
    if policy == "skip":  # at most once: an interrupted run is reported, never repeated
        assert sum(seen.values()) + len(life.missed) == 1 + (crash == "before finish")
        assert all(missed.reason == "interrupted" for missed in life.missed)
    else:  # nothing is lost; only a publish that the crash hid is repeated, under the same key
        assert set(seen) == {due}
        assert seen[due] == (2 if crash == "before finish" else 1)
    was_begun = crash in ("before publish", "before finish")
    assert any(run.recovered for run in life.published) == (was_begun and policy != "skip")


@pytest.mark.parametrize("down", [(-HOUR, -1), (-1, 1), (0, HOUR), (-HOUR, HOUR), (1, 2)])
def test_being_down_around_the_fire_time(down: tuple[int, int]) -> None:
    life = Life(cron="0 8 * * *")
    due = START + 8 * HOUR
    life.live_until(due + down[0])
    life.now = due + down[1]
    life.open()
    life.live_until(due + 2 * HOUR)
    assert life.instants == [8 * HOUR]


def test_a_changed_schedule_has_missed_nothing_and_repeats_nothing() -> None:
    life = Life(cron="0 8 * * *")
    life.live_until(START + 8 * HOUR)
    life.spec = TimerSpec(cron="0 7,8 * * *")
    life.now = START + 8 * HOUR - MINUTE  # and the clock was set back over the run meanwhile
    life.open()
    life.live_until(START + DAY)
    assert life.instants == [8 * HOUR]


@pytest.mark.reliability("R20")
def test_a_clock_set_back_does_not_run_a_cron_instant_again() -> None:
    life = Life(cron="0 8 * * *")
    life.live_until(START + 8 * HOUR + MINUTE)
    life.wake(START + 7 * HOUR + MINUTE)
    life.live_until(START + DAY + 9 * HOUR)
    assert life.instants == [8 * HOUR, DAY + 8 * HOUR]


@pytest.mark.reliability("R20")
def test_ten_years_ahead_and_back_loses_no_later_run() -> None:
    life = Life(cron="0 8 * * *")
    life.live_until(START + DAY)
    life.wake(START + 3650 * DAY)
    life.wake(START + DAY + MINUTE)
    life.live_until(START + 3 * DAY)
    assert life.instants[:1] + life.instants[2:] == [8 * HOUR, DAY + 8 * HOUR, 2 * DAY + 8 * HOUR]


@pytest.mark.reliability("R20")
def test_an_interval_waits_no_longer_than_its_period_when_the_clock_is_set_back() -> None:
    life = Life(every="15m")
    life.live_until(START + 2 * HOUR)
    life.wake(START + HOUR)
    assert life.ledger.next_run() == START + HOUR + 15 * MINUTE + 1
    life.live_until(START + 3 * HOUR)
    assert len(life.instants) == len(set(life.instants))


def test_jitter_delays_by_less_than_its_bound_and_the_same_after_a_restart() -> None:
    life = Life(cron="0 8 * * *", jitter="10m")
    due = life.ledger.next_run()
    assert due is not None
    assert 0 <= due - START - 8 * HOUR < 10 * MINUTE
    life.wake(due - 1)
    life.open()
    assert life.ledger.next_run() == due
    assert life.instants == []
    life.wake(due)
    assert life.instants == [8 * HOUR]


steps = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 3 * HOUR), st.integers(-2 * DAY, 2 * DAY),
                  st.sampled_from([-HOUR, HOUR, DAY, -DAY, 10 * YEAR, -10 * YEAR])),
        st.sampled_from(["", "live", "live", "restart", "before start", "before publish",
                         "bus closed", "before finish"]),
    ), max_size=25)  # fmt: skip
tables = st.sampled_from([
    {"cron": "*/20 * * * *"}, {"every": "20m"}, {"every": 4.5}, {"cron": "0 8 * * *"},
    {"at": "2027-01-15T05:00:00"}, {"cron": "*/7 * * * *", "jitter": "3m"},
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@pytest.mark.reliability("R20")
@given(tables, st.sampled_from(["skip", "run-once", "run-all"]), steps)
def test_whatever_the_clock_and_the_process_do_no_finished_run_is_published_twice(
    table: dict[str, Any], policy: str, moves: list[tuple[int, str]]
) -> None:
    life = Life(missed=policy, catch_up=5, **table)
    for distance, event in moves:
        hidden = event == "before finish"
        before = len(life.published)
        if event == "live":
            life.live_until(life.now + abs(distance) % (6 * HOUR))
            continue
        life.wake(life.now + distance, crash="" if event == "restart" else event)
        if hidden and len(life.published) > before:
            life.published.pop()  # its outcome is unknown: it alone may come again
        if event:
            life.open()
        assert all(run.scheduled <= life.now for run in life.published[before:])
    assert len(set(life.instants)) == len(life.instants)
