from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom_plugin_timers.schedule import (
    DAY,
    Cron,
    Every,
    Instant,
    Once,
    Schedule,
    isoformat,
    to_datetime,
    to_instant,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo",
         "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]  # fmt: skip
EXPRESSIONS = ["30 2 * * *", "0 8 * * mon-fri", "*/15 * * * *", "0 * * * *", "5,35 1-3 * * *",
               "0 0 1 * *", "0 0 * * *", "59 23 L * *", "30 */2 * * *", "0 12 29 2 *"]  # fmt: skip

moments = st.integers(min_value=to_instant(datetime(2005, 1, 1, tzinfo=UTC)),
                      max_value=to_instant(datetime(2037, 1, 1, tzinfo=UTC)))  # fmt: skip
crons = st.builds(Cron, st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES).map(ZoneInfo))
everys = st.builds(Every, st.integers(1_000, 3 * DAY), moments)
onces = st.builds(Once, moments)


def instant(text: str) -> Instant:
    return to_instant(datetime.fromisoformat(text).replace(tzinfo=UTC))


def runs(expression: str, zone: ZoneInfo, start: str, end: str) -> list[str]:
    found = Cron(expression, zone).latest(instant(start), instant(end), 1_000)
    return [to_datetime(moment, zone).strftime("%d %H:%M %Z") for moment in found]


@given(st.one_of(crons, everys, onces), moments)
def test_after_is_strictly_later_and_nothing_lies_between(
    schedule: Schedule, moment: Instant
) -> None:
    found = schedule.after(moment)
    if found is None:
        assert isinstance(schedule, Once)
        return
    assert found > moment
    assert schedule.after(found - 1) == found
    assert schedule.after((moment + found) // 2) == found or (moment + found) // 2 == found


@settings(deadline=None)
@given(st.one_of(crons, everys, onces), moments, st.integers(0, 5 * DAY), st.integers(1, 40))
def test_latest_is_the_tail_of_walking_forward(
    schedule: Schedule, start: Instant, span: int, limit: int
) -> None:
    end = start + span
    walked: list[Instant] = []
    moment = schedule.after(start)
    while moment is not None and moment <= end and len(walked) < 10_000:
        walked.append(moment)
        moment = schedule.after(moment)
    if len(walked) < 10_000:
        assert schedule.latest(start, end, limit) == walked[-limit:]


@given(everys, st.integers(0, 10**12))
def test_an_interval_does_not_drift(schedule: Every, count: int) -> None:
    moment = schedule.anchor + count * schedule.period
    assert schedule.after(moment) == moment + schedule.period


@given(moments)
def test_instants_survive_the_way_through_text_and_zones(moment: Instant) -> None:
    assert to_instant(datetime.fromisoformat(isoformat(moment))) == moment
    assert to_instant(to_datetime(moment, BERLIN)) == moment


def test_a_skipped_local_time_runs_once_right_after_the_gap() -> None:
    found = runs("30 2 * * *", BERLIN, "2026-03-28T00:00", "2026-03-30T12:00")
    assert found == ["28 02:30 CET", "29 03:00 CEST", "30 02:30 CEST"]


def test_two_times_in_one_gap_run_once() -> None:
    found = runs("10,40 2 * * *", BERLIN, "2026-03-28T23:00", "2026-03-29T12:00")
    assert found == ["29 03:00 CEST"]


def test_a_repeated_local_time_runs_once() -> None:
    found = runs("30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-26T12:00")
    assert found == ["25 02:30 CEST", "26 02:30 CET"]


def test_a_run_is_not_repeated_when_asked_from_within_the_repeated_hour() -> None:
    second_pass = instant("2026-10-25T01:10")  # 02:10 CET, the second time the clocks show it
    found = Cron("30 2 * * *", BERLIN).after(second_pass)
    assert found == instant("2026-10-26T01:30")


def test_every_half_hour_stays_every_half_hour_through_both_nights() -> None:
    for night in ("2026-03-29", "2026-10-25"):
        start = instant(f"{night}T00:00")
        found = Cron("*/30 * * * *", BERLIN).latest(start, start + DAY, 100)
        assert [moment - start for moment in found] == list(range(1_800_000, DAY + 1, 1_800_000))


def test_eight_o_clock_is_eight_o_clock_in_summer_and_winter() -> None:
    schedule = Cron("0 8 * * *", BERLIN)
    assert isoformat(schedule.after(instant("2026-07-01T00:00")) or 0) == "2026-07-01T06:00:00Z"
    assert isoformat(schedule.after(instant("2026-12-01T00:00")) or 0) == "2026-12-01T07:00:00Z"


def test_ten_years_of_minutes_do_not_have_to_be_walked() -> None:
    start = instant("2026-01-01T00:00")
    found = Cron("* * * * *", BERLIN).latest(start, start + 3_653 * DAY, 1_000)
    assert len(found) == 1_000
    assert found[-1] == start + 3_653 * DAY
    assert found == sorted(set(found))


@pytest.mark.parametrize(("millis", "text"), [(0, "1970-01-01T00:00:00Z"),
                                              (1_500, "1970-01-01T00:00:01.500Z")])  # fmt: skip
def test_isoformat_shows_milliseconds_only_when_there_are_any(millis: int, text: str) -> None:
    assert isoformat(millis) == text
