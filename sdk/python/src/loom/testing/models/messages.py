"""`/v1/messages`, as Anthropic speaks it.

https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from loom.testing.models.answers import Answer, Asked, Call, named, pieces, written

STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def whole(asked: Asked, answer: Answer) -> dict[str, Any]:
    """*answer* in one piece."""
    content: list[dict[str, Any]] = []
    if answer.thinking:
        block = {"type": "thinking", "thinking": answer.thinking, "signature": answer.seal}
        content.append(block)
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    for id, call in named(answer):
        content.append({"type": "tool_use", "id": id, "name": call.name, "input": _input(call)})
    stop = STOPS.get(answer.finished, answer.finished)
    return {**_frame(asked, answer), "content": content, "stop_reason": stop}


def parts(asked: Asked, answer: Answer) -> Iterator[tuple[str, Any]]:
    """*answer* as the events of a stream: name and data."""
    opened = {**_frame(asked, answer), "content": [], "stop_reason": None}
    yield _event("message_start", message=opened)
    for index, (begun, deltas) in enumerate(_blocks(answer)):
        yield _event("content_block_start", index=index, content_block=begun)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    stop = STOPS.get(answer.finished, answer.finished)
    delta = {"stop_reason": stop, "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage=_usage(answer))
    yield _event("message_stop")


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each block as it begins, and what comes to it."""
    if answer.thinking:
        deltas = [
            {"type": "thinking_delta", "thinking": text}
            for text in pieces(answer.thinking, answer.piece)
        ]
        deltas.append({"type": "signature_delta", "signature": answer.seal})
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if answer.text:
        texts = pieces(answer.text, answer.piece)
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in texts]
    for id, call in named(answer):
        begun = {"type": "tool_use", "id": id, "name": call.name, "input": {}}
        texts = pieces(written(call), answer.piece)
        yield begun, [{"type": "input_json_delta", "partial_json": text} for text in texts]


def _input(call: Call) -> Any:
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        return msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError):
        return call.arguments  # in one piece there is no other place for it


def _event(name: str, **data: Any) -> tuple[str, Any]:
    return name, {"type": name, **data}


def _frame(asked: Asked, answer: Answer) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": answer.role,
        "model": asked.body.get("model", ""),
        "stop_sequence": None,
        "usage": _usage(answer),
    }


def _usage(answer: Answer) -> dict[str, Any]:
    taken, given = answer.tokens or (0, 0)
    return {
        "input_tokens": taken - answer.cached,
        "output_tokens": given,
        "cache_read_input_tokens": answer.cached,
        "cache_creation_input_tokens": 0,
    }
