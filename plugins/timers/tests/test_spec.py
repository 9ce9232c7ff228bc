from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom_plugin_timers.duration import milliseconds
from loom_plugin_timers.schedule import Cron, Every, Once, isoformat
from loom_plugin_timers.settings import Settings
from loom_plugin_timers.spec import TimerSpec, check_name, find_zone

UTC = ZoneInfo("UTC")


def spec(**keys: Any) -> TimerSpec:
    return msgspec.convert(keys, TimerSpec)


@pytest.mark.parametrize(
    ("text", "length"),
    [(90, 90_000), (0.5, 500), ("90s", 90_000), ("15m", 900_000), ("1h30m", 5_400_000),
     ("1h 30m", 5_400_000), ("2d", 172_800_000), ("1w", 604_800_000), ("1.5h", 5_400_000),
     ("250ms", 250)],
)  # fmt: skip
def test_durations(text: str | float, length: int) -> None:
    assert milliseconds(text) == length


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "5 fortnights", "1h-", -1, "99999w",
                                  float("nan"), float("inf"), "٣m"])  # fmt: skip
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="duration"):
        milliseconds(text)


@given(st.text(max_size=30))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert milliseconds(text) >= 0


def test_the_three_kinds() -> None:
    assert spec(cron="0 8 * * mon-fri").schedule(UTC, 0) == Cron("0 8 * * mon-fri", UTC)
    assert spec(every="15m").schedule(UTC, 7) == Every(900_000, 7)
    once = spec(at="2026-12-01T08:00:00", timezone="Europe/Berlin").schedule(UTC, 0)
    assert isinstance(once, Once)
    assert isoformat(once.instant) == "2026-12-01T07:00:00Z"


def test_a_moment_may_carry_its_own_offset_or_be_a_toml_date() -> None:
    table = tomllib.loads("a = 2026-12-01T08:00:00\nb = 2026-12-01T08:00:00+02:00")
    assert spec(at=table["a"]).schedule(UTC, 0).identity == "at 2026-12-01T08:00:00Z"
    assert spec(at=table["b"]).schedule(UTC, 0).identity == "at 2026-12-01T06:00:00Z"
    berlin = spec(at="2026-12-01T08:00:00Z", timezone="Europe/Berlin")
    assert berlin.schedule(UTC, 0).identity == "at 2026-12-01T08:00:00Z"


def test_a_moment_the_clocks_skip_is_refused_and_a_repeated_one_is_the_first() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"does not exist in Europe/Berlin"):
        spec(at="2026-03-29T02:30:00", timezone="Europe/Berlin")
    once = spec(at="2026-10-25T02:30:00", timezone="Europe/Berlin").schedule(UTC, 0)
    assert once.identity == "at 2026-10-25T00:30:00Z"


@pytest.mark.parametrize(
    ("keys", "message"),
    [({}, "exactly one"),
     ({"cron": "* * * * *", "every": 60}, "exactly one"),
     ({"cron": "61 * * * *"}, "Bad minute"),
     ({"cron": "* * *"}, "Wrong number of fields"),
     ({"cron": "0 0 31 2 *"}, "0 0 31 2"),
     ({"every": "0.5s"}, "one second"),
     ({"every": True}, "bool"),
     ({"at": "tomorrow"}, "not a date and time"),
     ({"at": 5}, "not a date and time"),
     ({"every": 60, "timezone": "Mars/Olympus"}, "unknown time zone"),
     ({"cron": "* * * * *", "timezone": "../etc/passwd"}, "unknown time zone"),
     ({"every": 60, "missed": "maybe"}, "maybe"),
     ({"every": 60, "jitter": "soon"}, "duration"),
     ({"every": 60, "max_late": "never"}, "duration"),
     ({"every": 60, "colour": "red"}, "colour"),
     ({"every": 60, "topic": "a.*"}, "pattern"),
     ({"every": 60, "topic": "$loom.ready"}, "belongs to the runtime"),
     ({"every": 60, "data": {"x": float("nan")}}, "no JSON form"),
     ({"every": 60, "data": {"x": "y" * 70_000}}, "65536")],
)  # fmt: skip
def test_a_wrong_table_is_refused_and_told_why(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        spec(**keys)


@pytest.mark.parametrize("name", ["", "Daily", "a.b", "a b", "../x", "é", "x" * 65, "schedule"])
def test_names_that_cannot_be_topic_and_file_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot name a timer|is a request"):
        check_name(name)


def test_settings_name_the_wrong_timer() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"timer"):
        msgspec.convert({"timer": {"a": {"every": "never"}}, "timezone": "UTC"}, Settings)
    with pytest.raises(msgspec.ValidationError, match=r"cannot name a timer"):
        msgspec.convert({"timer": {"A B": {"every": 60}}, "timezone": "UTC"}, Settings)
    with pytest.raises(msgspec.ValidationError, match=r"unknown time zone"):
        msgspec.convert({"timezone": "Nowhere"}, Settings)


def test_a_spec_survives_the_disk() -> None:
    wanted = spec(at="2026-12-01T08:00:00", missed="skip", data={"a": [1, None]}, jitter="5s")
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=TimerSpec) == wanted


def test_the_machines_zone_has_an_iana_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert find_zone("local").key == "Asia/Tokyo"
