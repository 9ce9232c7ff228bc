"""An answer of messages, put together from its events."""

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
    ToolUse,
    Usage,
)
from loom.models import Endpoint, read_call, wire_names

from loom_plugin_anthropic.asking import REDACTED

FINISHES: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Block(msgspec.Struct):
    """A block so far: thinking, text, or a call (*text* is its arguments)."""

    type: str
    text: str = ""
    seal: str = ""
    id: str = ""
    name: str = ""


class Gathered:
    """Takes events, gives what is new in them, and in the end the whole."""

    def __init__(self, endpoint: Endpoint, request: ModelRequest) -> None:
        self._endpoint = endpoint
        self._names = wire_names(tool.name for tool in request.tools)
        self._blocks: dict[int, _Block] = {}
        self._finish = ""
        self._is_over = False
        self._usage = Usage()
        self._id = ""
        self._model = ""

    def take(self, event: Any) -> Iterator[ModelPart]:
        """What is new in *event*."""
        match event.type:
            case "message_start":
                self._begin(event.message)
            case "content_block_start":
                yield from self._open(event.index, event.content_block)
            case "content_block_delta":
                yield from self._add(self._blocks[event.index], event.delta)
            case "message_delta":
                self._finish = event.delta.stop_reason or self._finish
                self._count(getattr(event, "usage", None))
            case "message_stop":
                self._is_over = True

    def take_whole(self, message: Any) -> Iterator[ModelPart]:
        """What is in a *message* that came in one piece."""
        self._begin(message)
        for index, block in enumerate(message.content):
            yield from self._open(index, block)
        self._finish = message.stop_reason or ""
        self._is_over = True

    def reply(self) -> ModelReply:
        """The whole answer.

        Raises:
            ModelError: MODEL_INTERRUPTED, it has no end.
        """
        if not self._is_over:
            text = "the answer ended before it was complete"
            raise ModelError(self._endpoint.name, "MODEL_INTERRUPTED", text)
        blocks = self._blocks.values()
        calls = tuple(self._call(block) for block in blocks if block.type == "tool_use")
        thoughts = (one for one in blocks if one.type == "thinking" and (one.text or one.seal))
        return ModelReply(
            content="".join(block.text for block in blocks if block.type == "text"),
            calls=calls,
            thinking=tuple(Thinking(block.text, block.seal) for block in thoughts),
            finish=FINISHES.get(self._finish, "tool_calls" if calls else "stop"),
            usage=self._usage,
            model=self._model,
            id=self._id,
        )

    def _begin(self, message: Any) -> None:
        self._id = getattr(message, "id", None) or ""
        self._model = getattr(message, "model", None) or ""
        self._count(getattr(message, "usage", None))

    def _open(self, index: int, begun: Any) -> Iterator[ModelPart]:
        block = self._blocks[index] = _Block(begun.type)
        match begun.type:
            case "thinking":
                yield from self._think(block, begun.thinking, getattr(begun, "signature", ""))
            case "redacted_thinking":
                block.type, block.seal = "thinking", f"{REDACTED}{begun.data}"
            case "text":
                yield from self._say(block, begun.text)
            case "tool_use":
                block.id, block.name = begun.id, begun.name
                if begun.input:
                    block.text = _written(begun.input)

    def _add(self, block: _Block, delta: Any) -> Iterator[ModelPart]:
        match delta.type:
            case "thinking_delta":
                yield from self._think(block, delta.thinking, "")
            case "signature_delta":
                block.seal += delta.signature
            case "text_delta":
                yield from self._say(block, delta.text)
            case "input_json_delta":
                block.text += delta.partial_json

    def _think(self, block: _Block, text: str, seal: str | None) -> Iterator[ModelPart]:
        block.seal += seal or ""
        block.text += text
        if text:
            yield ThinkingDelta(text)

    def _say(self, block: _Block, text: str) -> Iterator[ModelPart]:
        block.text += text
        if text:
            yield TextDelta(text)

    def _call(self, block: _Block) -> ToolUse:
        return read_call(block.id, block.name, block.text, self._names)

    def _count(self, told: Any) -> None:
        """What the endpoint counted; later figures replace earlier ones."""
        if told is None:
            return
        cached = getattr(told, "cache_read_input_tokens", None) or 0
        made = getattr(told, "cache_creation_input_tokens", None) or 0
        fresh = getattr(told, "input_tokens", None) or 0
        known = self._usage
        self._usage = Usage(
            (fresh + cached + made) or known.input_tokens,
            getattr(told, "output_tokens", None) or known.output_tokens,
            cached or known.cached_tokens,
        )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
