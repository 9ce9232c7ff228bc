from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest
from loom.instance import duration, parse_duration, printable, say
from loom_plugin_control.rendering import is_at_least, record_line

pytestmark = pytest.mark.feature("CLI-04")


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86_400), ("1h30m", 5_400), ("1.5s", 1.5), ("2d", 172_800)]
)
def test_durations_are_understood(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "1h 30m", "-1h", "1h30", "soon"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 24h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 m 1 s"), (90_061, "1 d 1 h"), (3_600, "1 h")]
)
def test_durations_are_said_briefly(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\nc", "a\\x0db\\x0ac"),
        ("\u202egnp.exe", "\\x202egnp.exe"),
        ("日本 é", "日本 é"),
    ],
)
def test_a_terminal_is_not_commanded_by_strangers(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_record_with_a_traceback_keeps_its_lines() -> None:
    line = (
        '{"time": 0, "level": "error", "logger": "loom.x", "message": "it broke",'
        ' "traceback": "Traceback\\n  here\\u001b[2J"}'
    )
    assert click.unstyle(record_line(line))[9:] == (
        "ERROR   loom.x: it broke\nTraceback\n  here\\x1b[2J"
    )
    assert record_line('{"not": "a record"}\n') == '{"not": "a record"}'


def test_levels() -> None:
    line: Callable[[str], str] = (
        '{{"time": 0, "level": "{}", "logger": "x", "message": "m"}}'.format
    )
    assert is_at_least(line("error"), "warning")
    assert not is_at_least(line("info"), "warning")
    assert is_at_least("printed by something", "info")
    assert not is_at_least("printed by something", "warning")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    say(click.style("x", fg="red"))
    assert capsys.readouterr().out == "\x1b[31mx\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    say(click.style("x", fg="red"))
    assert capsys.readouterr().out == "x\n"
