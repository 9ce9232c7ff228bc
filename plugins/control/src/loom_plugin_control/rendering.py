"""Everything in a form for people: one line an event, a table of topics, a status."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from loom.instance import duration, printable, table

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red"}


def _cleaned(value: Any) -> Any:
    """*value* with every text in it printable."""
    if isinstance(value, Mapping):
        return {printable(str(key)): _cleaned(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_cleaned(below) for below in value]
    return printable(value) if isinstance(value, str) else value


def clock(moment: float, *, parts: str = "milliseconds") -> str:
    """The local time of *moment* (UNIX seconds)."""
    return datetime.fromtimestamp(moment, tz=UTC).astimezone().time().isoformat(parts)


def event_line(line: Mapping[str, Any]) -> str:
    """One event: time, topic, sender, subject, and as much of the data as the line holds."""
    event = line["event"]
    kind = "" if event["type"] == event["topic"] else f" ({event['type']})"
    head = f"{clock(event['time'])} {event['topic']}{kind} {event['sender']} {event['subject']}"
    shown = line.get("problem") or _short(event)
    room = max(shutil.get_terminal_size((120, 24)).columns - len(head) - 2, 20)
    if len(shown) > room:
        shown = shown[: room - 1] + "…"
    lost = f"({event['dropped_before']} lost before) " if event["dropped_before"] else ""
    return " ".join(
        (
            click.style(clock(event["time"]), dim=True),
            click.style(printable(event["topic"] + kind), fg="cyan"),
            click.style(printable(event["sender"]), fg="green"),
            *([printable(event["subject"])] if event["subject"] else ()),
            click.style(lost + printable(shown), dim=True),
        )
    ).rstrip()


def _short(event: Mapping[str, Any]) -> str:
    if "data_base64" in event:
        return f"{len(b64decode(event['data_base64']))} bytes"
    return "" if event["data"] is None else json.dumps(event["data"], ensure_ascii=False)


def topic_table(topics: Iterable[Mapping[str, Any]]) -> str:
    """The accounts of topics, one a line."""
    rows: list[tuple[str, ...]] = [
        ("topic", "published", "delivered", "dropped", "expired", "backlog", "subscriptions")
    ]
    for topic in topics:
        figures = ("published", "delivered", "expired", "backlog", "subscriptions")
        published, delivered, expired, backlog, listening = (str(topic[f]) for f in figures)
        dropped, name = _dropped(topic["dropped"]), printable(topic["topic"])
        rows.append((name, published, delivered, dropped, expired, backlog, listening))
    return table(rows)


def _dropped(reasons: Mapping[str, int]) -> str:
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return f"{sum(reasons.values())} ({told})" if told else "0"


def status_text(status: Mapping[str, Any]) -> str:
    """How the runtime is, in a few lines."""
    status = _cleaned(status)
    state = click.style(status["state"], fg="green" if status["state"] == "ready" else "yellow")
    up = duration(status["uptime"])
    lines = [f"Loom is {state} ({status['profile']}), process {status['pid']}, up {up}"]
    lines += [f"{name:<8} {path}" for name, path in status["paths"].items() if path]
    waiting = f"{status['queued']} events wait on {status['subscriptions']} subscriptions"
    lines += [f"queues   {waiting}", "plugins"]
    for name, health in status["plugins"].items():
        figures = " ".join(f"{key}={value:g}" for key, value in health["metrics"].items())
        word = click.style(health["message"], fg=None if health["healthy"] else "red")
        lines.append(f"  {name:<12} {word}  {figures}".rstrip())
    lines += _quarantine_lines(status["quarantined"].values())
    for queue in status["queues"]:
        share = f"{queue['queued']} of {queue['capacity']} wait"
        lines.append(f"  {queue['name']}: {share}, dropped {_dropped(queue['dropped'])}")
    return "\n".join(lines)


def up_text(ready: Mapping[str, Any]) -> str:
    """What runs now."""
    ready = _cleaned(ready)
    names = ", ".join(ready["plugins"])
    lines = [f"Loom is up ({ready['profile']}), process {ready['pid']}: {names}"]
    return "\n".join(lines + _quarantine_lines(ready["quarantined"]))


def _quarantine_lines(quarantined: Iterable[Mapping[str, str]]) -> list[str]:
    lost = [f"  {q['name']:<12} {q['stage']}: {q['reason']}" for q in quarantined]
    return [click.style("not used", fg="yellow"), *lost] if lost else []


def record_line(line: str) -> str:
    """One line of the log: a JSON record rendered, anything else as it is."""
    record = parse_record(line)
    if record is None:
        return printable(line.rstrip("\n"))
    level = str(record["level"])
    word = click.style(f"{level.upper():<7}", fg=_COLOURS.get(level))
    text = f"{record['logger']}: {record['message']}"
    if traceback := record.get("traceback"):
        text += f"\n{traceback}"
    text = "\n".join(map(printable, text.split("\n")))
    return f"{clock(record['time'], parts='seconds')} {word} {text}"


def parse_record(line: str) -> dict[str, Any] | None:
    """The JSON record in *line*, if it is one."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    known = {"time", "level", "logger", "message"}
    return record if isinstance(record, dict) and known <= record.keys() else None


def is_at_least(line: str, level: str) -> bool:
    """Whether *line* of the log is of *level* or worse; what has no level counts as info."""
    record = parse_record(line)
    found = str(record["level"]) if record else "info"
    return _LEVELS.get(found, 20) >= _LEVELS[level]


LEVELS = tuple(_LEVELS)
