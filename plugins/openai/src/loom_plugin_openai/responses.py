"""The driver `responses`: OpenAI's responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

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
from loom.models import Endpoint, printable, read_call, wire_names

from loom_plugin_openai.asking import responses_body
from loom_plugin_openai.connection import Connection

TEXTS = ("response.output_text.delta", "response.refusal.delta")
THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
ENDS = ("response.completed", "response.incomplete")
FINISHES: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


class ResponsesDriver:
    """See `loom.contracts.ModelDriver`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection = Connection(endpoint)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        client = await self._connection.client()
        body = responses_body(self._endpoint, request)
        with self._connection.translated(is_reading=False):
            answer: Any = await client.responses.create(**body)
        names = wire_names(tool.name for tool in request.tools)
        if not self._endpoint.stream:
            async with aclosing(self._whole(answer, names)) as parts:
                yield parts
            return
        async with answer, aclosing(self._parts(answer, names)) as parts:
            yield parts

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _parts(self, answer: Any, names: dict[str, str]) -> AsyncGenerator[ModelPart, None]:
        with self._connection.translated(is_reading=True):
            async for event in answer:
                if event.type in TEXTS:
                    yield TextDelta(event.delta)
                elif event.type in THOUGHTS:
                    yield ThinkingDelta(event.delta)
                elif event.type in ENDS:
                    yield self._reply(event.response, names)
                    return
                elif event.type in ("response.failed", "error"):
                    raise self._failure(getattr(event, "response", event))
            text = "the answer ended before it was complete"
            raise ModelError(self._endpoint.name, "MODEL_INTERRUPTED", text)

    async def _whole(self, answer: Any, names: dict[str, str]) -> AsyncGenerator[ModelPart, None]:
        with self._connection.translated(is_reading=True):
            if answer.status == "failed":
                raise self._failure(answer)
            reply = self._reply(answer, names)
        for thought in reply.thinking:
            if thought.text:
                yield ThinkingDelta(thought.text)
        if reply.content:
            yield TextDelta(reply.content)
        yield reply

    def _reply(self, response: Any, names: dict[str, str]) -> ModelReply:
        items = list(response.output)
        calls = tuple(_call(item, names) for item in items if item.type == "function_call")
        details = response.incomplete_details
        finish: FinishReason = "tool_calls" if calls else "stop"
        if details is not None:
            finish = FINISHES.get(details.reason, "stop")
        return ModelReply(
            content="".join(text for item in items for text in _texts(item)),
            calls=calls,
            thinking=tuple(_thought(item) for item in items if item.type == "reasoning"),
            finish=finish,
            usage=_usage(response.usage),
            model=response.model or "",
            id=response.id or "",
        )

    def _failure(self, told: Any) -> ModelError:
        error = getattr(told, "error", None) or told
        text = printable(self._endpoint, str(getattr(error, "message", None) or "it failed"))
        if getattr(error, "code", None) == "rate_limit_exceeded":
            return ModelError(self._endpoint.name, "MODEL_RATE_LIMITED", text)
        return ModelError(self._endpoint.name, "MODEL_UNAVAILABLE", text)


def _texts(item: Any) -> Iterator[str]:
    for part in item.content if item.type == "message" else ():
        yield part.text if part.type == "output_text" else part.refusal


def _call(item: Any, names: dict[str, str]) -> ToolUse:
    return read_call(item.call_id, item.name, item.arguments or "", names)


def _thought(item: Any) -> Thinking:
    """The seal holds the item's id as well: both have to be given back."""
    parts = [*(item.summary or ()), *(getattr(item, "content", None) or ())]
    sealed = getattr(item, "encrypted_content", None)
    return Thinking("".join(part.text for part in parts), f"{item.id} {sealed}" if sealed else "")


def _usage(told: Any) -> Usage:
    if told is None:
        return Usage()
    asked, said = told.input_tokens_details, told.output_tokens_details
    return Usage(
        told.input_tokens or 0,
        told.output_tokens or 0,
        (asked.cached_tokens or 0) if asked is not None else 0,
        (said.reasoning_tokens or 0) if said is not None else 0,
    )
