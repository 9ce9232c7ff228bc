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
        self._calls: dict[int, _Written] = {}
        self._finish = ""
        self._usage = Usage()
        self._id = ""
        self._model = ""

    def take(self, chunk: Any) -> Iterator[ModelPart]:
        """What is new in *chunk*."""
        self._note(chunk)
        for choice in chunk.choices or ():
            self._finish = _get(choice, "finish_reason", self._finish)
            if delta := _get(choice, "delta", None):
                yield from self._said(delta)
                for call in _get(delta, "tool_calls", ()):
                    self._add(self._place(call), call)

    def take_whole(self, completion: Any) -> Iterator[ModelPart]:
        """What is in a *completion* that came in one piece."""
        self._note(completion)
        choice = completion.choices[0]
        self._finish = _get(choice, "finish_reason", "stop")
        yield from self._said(choice.message)
        for number, call in enumerate(_get(choice.message, "tool_calls", ())):
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
        self._id = _get(answer, "id", self._id)
        self._model = _get(answer, "model", self._model)
        if told := _get(answer, "usage", None):
            self._usage = _usage(told)

    def _said(self, delta: Any) -> Iterator[ModelPart]:
        thought = next((found for name in THOUGHTS if (found := _get(delta, name, ""))), "")
        if thought:
            self._thoughts.append(thought)
            yield ThinkingDelta(thought)
        if text := _get(delta, "content", "") or _get(delta, "refusal", ""):
            self._texts.append(text)
            yield TextDelta(text)

    def _place(self, call: Any) -> int:
        """Which call this is a part of: some endpoints send whole ones, without a number."""
        index: int | None = getattr(call, "index", None)
        if index is not None:
            return index
        begins = _get(call, "id", "") or _get(_get(call, "function", None), "name", "")
        return len(self._calls) - (0 if begins or not self._calls else 1)

    def _add(self, place: int, call: Any) -> None:
        written = self._calls.setdefault(place, _Written())
        written.id = _get(call, "id", written.id)
        if function := _get(call, "function", None):
            written.name = _get(function, "name", written.name)
            written.arguments += _get(function, "arguments", "")


def _usage(told: Any) -> Usage:
    asked = _get(told, "prompt_tokens_details", None)
    said = _get(told, "completion_tokens_details", None)
    return Usage(
        _get(told, "prompt_tokens", 0),
        _get(told, "completion_tokens", 0),
        _get(asked, "cached_tokens", 0),
        _get(said, "reasoning_tokens", 0),
    )


def _get(record: Any, name: str, default: Any) -> Any:
    """A field of *record*; *default* if it is empty or missing: many speak less than the whole."""
    return getattr(record, name, None) or default
