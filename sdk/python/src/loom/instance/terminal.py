"""What commands print: lines and tables that no stranger's words can turn against a terminal."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import click

LONGEST_CELL = 60
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(d|h|m|s)")
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}

json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
"""Adds `--json` to a command, which receives it as *as_json*."""


def say(text: str, *, err: bool = False) -> None:
    """Print *text*; coloured on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)


def printable(text: str) -> str:
    """*text* without what a terminal would obey: events carry the words of strangers."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def record_table(records: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> str:
    """The *columns* of records, one record a line; what is long is cut."""
    rows = [columns]
    for record in records:
        cells = (record.get(column) for column in columns)
        texts = [", ".join(map(str, c)) if isinstance(c, list) else str(c) for c in cells]
        rows.append(tuple(printable(text[:LONGEST_CELL]) for text in texts))
    return table(rows)


def say_records(
    records: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool, none: str = ""
) -> None:
    """Print *records* as a table of *columns*, or all of them as JSON.

    *none* is printed if there are none; without it, the table's first line.
    """
    if as_json:
        click.echo(json.dumps(records))
    else:
        say(record_table(records, columns) if records or not none else none)


def say_state(record: Mapping[str, Any], *, as_json: bool) -> None:
    """Print in which state *record* is now (its name, state and reason), or all of it as JSON."""
    if as_json:
        click.echo(json.dumps(record))
        return
    reason = f": {record['reason']}" if record["reason"] else ""
    say(printable(f"{record['name']} is {record['state']}{reason}"))


def table(rows: list[tuple[str, ...]]) -> str:
    """*rows* with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """*seconds* as people say it, in its two largest units."""
    whole = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS.items():
        count, whole = divmod(whole, int(size))
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def parse_duration(text: str) -> float:
    """The seconds in `24h`, `1h30m`, `90s`.

    Raises:
        BadParameter: it is no duration.
    """
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise click.BadParameter(f"{text!r} is no duration; write 24h, 90m, 1h30m or 45s")
    return sum(float(number) * _UNITS[unit] for number, unit in found)
