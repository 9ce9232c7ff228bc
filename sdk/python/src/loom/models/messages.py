"""What app authors hand in, read into requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from loom.contracts import Message, ModelError, ModelTool, ToolDescriptor

Said = Message | Mapping[str, Any]
"""A message, or a mapping with `role` and `content`."""
Offered = ModelTool | ToolDescriptor | Mapping[str, Any]


def read_messages(name: str, messages: Iterable[Said]) -> tuple[Message, ...]:
    """*messages* as such.

    Raises:
        ModelError: MODEL_REFUSED, one is none; it says which and why.
    """
    found = []
    for number, message in enumerate(messages):
        if not isinstance(message, Message):
            message = _converted(name, f"messages[{number}]", dict(message), Message)  # noqa: PLW2901
        found.append(message)
    return tuple(found)


def read_tools(name: str, tools: Iterable[Offered]) -> tuple[ModelTool, ...]:
    """*tools* as a model is told of them; descriptors of the broker's are taken as well."""
    found = []
    for number, tool in enumerate(tools):
        if isinstance(tool, ToolDescriptor):
            found.append(ModelTool(tool.name, tool.description, tool.parameters))
        elif isinstance(tool, ModelTool):
            found.append(tool)
        else:
            found.append(_converted(name, f"tools[{number}]", dict(tool), ModelTool))
    return tuple(found)


def prompted(prompt: str, system: str | None) -> tuple[Message, ...]:
    """A conversation that begins with *prompt*."""
    first = (Message("system", system),) if system else ()
    return (*first, Message("user", prompt))


def _converted(name: str, place: str, value: dict[str, Any], shape: Any) -> Any:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ModelError(name, "MODEL_REFUSED", f"{place}: {error}", is_final=True) from None
