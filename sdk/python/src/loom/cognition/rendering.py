"""What a tool returned, as a model reads it best: text as it is, records line by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

MOST = 4 * 1024 * 1024
"""Characters of an output that are looked at."""


def rendered(output: Any) -> str:
    """*output* (a JSON value) as text."""
    if isinstance(output, str):
        return output[:MOST]
    if isinstance(output, Mapping):
        if len(output) == 1 and isinstance(only := next(iter(output.values())), str):
            return only[:MOST]
        return fields(output)
    if isinstance(output, list | tuple):
        return "\n".join(_plain(value) for value in output)[:MOST] or "nothing"
    return "done" if output is None else _plain(output)


def fields(record: Mapping[str, Any]) -> str:
    """*record*, a field a line."""
    return "\n".join(_field(str(name), value) for name, value in record.items())[:MOST]


def _field(name: str, value: Any) -> str:
    if isinstance(value, str):
        return f"{name}:\n{value}" if "\n" in value else f"{name}: {value}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"{name}:\n" + "\n".join(_plain(item) for item in value)
    return f"{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError):
        return repr(value)[:MOST]
