"""`/v1/chat/completions`, as OpenAI and most others speak it.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loom.testing.models.answers import Answer, Asked, named, pieces, written


def whole(asked: Asked, answer: Answer) -> dict[str, Any]:
    """*answer* in one piece."""
    message: dict[str, Any] = {"role": answer.role, "content": answer.text or None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = [_call(id, call.name, written(call)) for id, call in named(answer)]
    choice = {"index": 0, "message": message, "finish_reason": answer.finished, "logprobs": None}
    record = {**_frame(asked, "chat.completion"), "choices": [choice]}
    return record | ({"usage": _usage(answer)} if answer.tokens else {})


def parts(asked: Asked, answer: Answer) -> Iterator[tuple[str, Any]]:
    """*answer* as the events of a stream: name (none here) and data."""
    yield "", _chunk(asked, {"role": answer.role, "content": ""})
    for text in pieces(answer.thinking, answer.piece):
        yield "", _chunk(asked, {"reasoning_content": text})
    for text in pieces(answer.text, answer.piece):
        yield "", _chunk(asked, {"content": text})
    for index, (id, call) in enumerate(named(answer)):
        opening = {"index": index, **_call(id, call.name, "")}
        yield "", _chunk(asked, {"tool_calls": [opening]})
        for text in pieces(written(call), answer.piece):
            more = {"index": index, "function": {"arguments": text}}
            yield "", _chunk(asked, {"tool_calls": [more]})
    yield "", _chunk(asked, {}, answer.finished)
    wants_usage = (asked.body.get("stream_options") or {}).get("include_usage")
    if wants_usage and answer.tokens:
        frame = _frame(asked, "chat.completion.chunk")
        yield "", {**frame, "choices": [], "usage": _usage(answer)}
    yield "", "[DONE]"


def _chunk(asked: Asked, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**_frame(asked, "chat.completion.chunk"), "choices": [choice]}


def _frame(asked: Asked, kind: str) -> dict[str, Any]:
    model = asked.body.get("model", "")
    return {"id": "chatcmpl-1", "object": kind, "created": 1_767_225_600, "model": model}


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _usage(answer: Answer) -> dict[str, Any]:
    taken, given = answer.tokens or (0, 0)
    return {
        "prompt_tokens": taken,
        "completion_tokens": given,
        "total_tokens": taken + given,
        "prompt_tokens_details": {"cached_tokens": answer.cached},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning},
    }
