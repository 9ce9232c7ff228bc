"""Calls as models write them: text that should be JSON, and may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loom.contracts import ToolUse
from loom.models.names import tool_name


def read_call(id: str, wire: str, written: str, names: Mapping[str, str]) -> ToolUse:
    """The call of tool *wire* with arguments *written*; what is wrong with them is its `problem`.

    *names* are those of the tools that were offered, by their name on the wire.
    """
    name = names.get(wire) or tool_name(wire)
    if not written.strip():
        return ToolUse(id, name)
    problem = "they are no JSON object"
    try:
        arguments: Any = msgspec.json.decode(written)
        if isinstance(arguments, dict):
            return ToolUse(id, name, arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"they are no JSON: {error}"
    return ToolUse(id, name, problem=f"the arguments cannot be read: {problem}", written=written)


def write_arguments(call: ToolUse) -> str:
    """The arguments of *call* as JSON text; of one that could not be read there are none."""
    return msgspec.json.encode(call.arguments).decode()
