"""The driver `responses`: OpenAI's responses."""

from __future__ import annotations

from collections.abc import Iterator
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
from loom.models import Endpoint, SdkDriver, printable, read_call, wire_names

from loom_plugin_openai.asking import responses_body
from loom_plugin_openai.chat import OPENAI

TEXTS = ("response.output_text.delta", "response.refusal.delta")
THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
ENDS = ("response.completed", "response.incomplete")
FINISHES: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


class ResponsesDriver(SdkDriver):
    """See `loom.contracts.ModelDriver`."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(
            endpoint, OPENAI, responses_body, lambda client: client.responses.create, Answered
        )


class Answered:
    """Passes on what is new; the last event holds the whole."""

    def __init__(self, endpoint: Endpoint, request: ModelRequest) -> None:
        self._endpoint = endpoint
        self._names = wire_names(tool.name for tool in request.tools)
        self._response: Any = None

    def take(self, event: Any) -> Iterator[ModelPart]:
        """What is new in *event*.

        Raises:
            ModelError: it says that there will be no answer.
        """
        if event.type in TEXTS:
            yield TextDelta(event.delta)
        elif event.type in THOUGHTS:
            yield ThinkingDelta(event.delta)
        elif event.type in ENDS:
            self._response = event.response
        elif event.type in ("response.failed", "error"):
            raise self._failure(getattr(event, "response", event))

    def take_whole(self, answer: Any) -> Iterator[ModelPart]:
        """What *answer* says, but for the reply.

        Raises:
            ModelError: it says that it failed.
        """
        if answer.status == "failed":
            raise self._failure(answer)
        self._response = answer
        reply = self.reply()
        for thought in reply.thinking:
            if thought.text:
                yield ThinkingDelta(thought.text)
        if reply.content:
            yield TextDelta(reply.content)

    def reply(self) -> ModelReply:
        """All of it.

        Raises:
            ModelError: its end did not come.
        """
        if self._response is None:
            text = "the answer ended before it was complete"
            raise ModelError(self._endpoint.name, "MODEL_INTERRUPTED", text)
        response, items = self._response, list(self._response.output)
        calls = tuple(_call(item, self._names) for item in items if item.type == "function_call")
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
