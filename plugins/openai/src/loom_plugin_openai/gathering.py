"""An answer of chat completions, put together from its chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from loom.contracts import (
    FinishReason,
    ModelError,
    ModelPart,
    ModelReply,
    ModelRequest,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Usage,
)
from loom.models import Endpoint, read_call, wire_names

FINISHES: dict[str, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
THOUGHTS = ("reasoning_content", "reasoning")
"""Where endpoints put what a model thinks; the protocol itself has no word for it."""


class _Written(msgspec.Struct):
    """A call so far."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class Gathered:
    """Takes chunks, gives what is new in them, and in the end the whole."""

    def __init__(self, endpoint: Endpoint, request: ModelRequest) -> None:
        self._endpoint = endpoint
        self._names = wire_names(tool.name for tool in request.tools)
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[Any, _Written] = {}
        self._finish = ""
        self._usage = Usage()
        self._id = ""
        self._model = ""

    def take(self, chunk: Any) -> Iterator[ModelPart]:
        """What is new in *chunk*."""
        self._note(chunk)
        for choice in chunk.choices or ():
            self._finish = choice.finish_reason or self._finish
            if choice.delta is not None:
                yield from self._said(choice.delta)
                for number, call in enumerate(choice.delta.tool_calls or ()):
                    self._add(number if call.index is None else call.index, call)

    def take_whole(self, completion: Any) -> Iterator[ModelPart]:
        """What is in a *completion* that came in one piece."""
        self._note(completion)
        choice = completion.choices[0]
        self._finish = choice.finish_reason or "stop"
        yield from self._said(choice.message)
        for number, call in enumerate(choice.message.tool_calls or ()):
            self._add(number, call)

    def reply(self) -> ModelReply:
        """The whole answer.

        Raises:
            ModelError: MODEL_INTERRUPTED, it has no end.
        """
        if not self._finish:
            text = "the answer ended before it was complete"
            raise ModelError(self._endpoint.name, "MODEL_INTERRUPTED", text)
        calls = tuple(
            read_call(
                call.id or f"call_{number}_{self._id[-20:]}", call.name, call.arguments, self._names
            )
            for number, call in enumerate(self._calls.values(), 1)
        )
        thought = "".join(self._thoughts)
        return ModelReply(
            content="".join(self._texts),
            calls=calls,
            thinking=(Thinking(thought),) if thought else (),
            finish=FINISHES.get(self._finish, "tool_calls" if calls else "stop"),
            usage=self._usage,
            model=self._model,
            id=self._id,
        )

    def _note(self, answer: Any) -> None:
        self._id = answer.id or self._id
        self._model = answer.model or self._model
        if answer.usage is not None:
            self._usage = _usage(answer.usage)

    def _said(self, delta: Any) -> Iterator[ModelPart]:
        thought = next((found for name in THOUGHTS if (found := getattr(delta, name, None))), "")
        if thought:
            self._thoughts.append(thought)
            yield ThinkingDelta(thought)
        text = delta.content or getattr(delta, "refusal", None)
        if text:
            self._texts.append(text)
            yield TextDelta(text)

    def _add(self, key: Any, call: Any) -> None:
        written = self._calls.setdefault(key, _Written())
        written.id = call.id or written.id
        if call.function is not None:
            written.name = call.function.name or written.name
            written.arguments += call.function.arguments or ""


def _usage(told: Any) -> Usage:
    asked, said = told.prompt_tokens_details, told.completion_tokens_details
    return Usage(
        told.prompt_tokens or 0,
        told.completion_tokens or 0,
        (asked.cached_tokens or 0) if asked is not None else 0,
        (said.reasoning_tokens or 0) if said is not None else 0,
    )
