"""The arguments that every tool which asks a model takes."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from loom.contracts import Message, ModelRequest, ModelTool, ToolCall, ToolChoice, ToolError
from loom.models.messages import prompted


class Asking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is asked, as the arguments of a tool; a tool adds its own."""

    prompt: str = ""
    """The question, after *messages* if there are any."""
    system: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[ModelTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    temperature: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None

    @property
    def request(self) -> ModelRequest:
        """What the model is asked."""
        said = prompted(self.prompt, None) if self.prompt else ()
        system = (Message("system", self.system),) if self.system else ()
        return ModelRequest(
            (*system, *self.messages, *said),
            tools=self.tools,
            tool_choice=self.tool_choice,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            stop=self.stop,
            schema=self.schema,
        )


A = TypeVar("A", bound=Asking)


def read_asking(call: ToolCall, shape: type[A]) -> A:
    """The arguments of *call*.

    Raises:
        ToolError: INVALID_PARAMS, there is nothing to ask, or something has another shape.
    """
    try:
        asked = msgspec.convert(dict(call.arguments), shape)
    except msgspec.ValidationError as error:
        raise ToolError(call.name, "INVALID_PARAMS", str(error)) from error
    if not asked.prompt and not asked.messages:
        raise ToolError(call.name, "INVALID_PARAMS", "give `prompt` or `messages`")
    return asked
