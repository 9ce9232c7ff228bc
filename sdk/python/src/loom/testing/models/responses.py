"""`/v1/responses`, as OpenAI speaks it.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loom.testing.models.answers import Answer, Asked, named, pieces, written

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def whole(asked: Asked, answer: Answer) -> dict[str, Any]:
    """*answer* in one piece."""
    reason = INCOMPLETE.get(answer.finished)
    items = [item for item, _ in _items(answer)]
    record = _frame(asked, "incomplete" if reason else "completed", items)
    record["incomplete_details"] = {"reason": reason} if reason else None
    return record | ({"usage": _usage(answer)} if answer.tokens else {})


def parts(asked: Asked, answer: Answer) -> Iterator[tuple[str, Any]]:
    """*answer* as the events of a stream: name and data."""
    for number, (name, data) in enumerate(_events(asked, answer)):
        yield name, {"type": name, "sequence_number": number, **data}


def _events(asked: Asked, answer: Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("response.created", "response.in_progress"):
        yield name, {"response": _frame(asked, "in_progress", [])}
    for index, (item, events) in enumerate(_items(answer)):
        at = {"output_index": index}
        yield "response.output_item.added", {**at, "item": _begun(item)}
        for name, data in events:
            yield f"response.{name}", {**at, "item_id": item["id"], **data}
        yield "response.output_item.done", {**at, "item": item}
    done = whole(asked, answer)
    yield f"response.{done['status']}", {"response": done}


def _items(answer: Answer) -> Iterator[tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]]:
    """Each item of the output as it ends, and the events on the way there."""
    if answer.thinking:
        yield _reasoning(answer)
    if answer.text:
        yield _message(answer)
    for id, call in named(answer):
        text = written(call)
        item = {
            "id": f"fc_{id}", "type": "function_call", "call_id": id, "name": call.name,
            "arguments": text, "status": "completed",
        }  # fmt: skip
        kind = "function_call_arguments"
        events = [(f"{kind}.delta", {"delta": part}) for part in pieces(text, answer.piece)]
        yield item, [*events, (f"{kind}.done", {"arguments": text, "name": call.name})]


def _reasoning(answer: Answer) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    kind, at = "reasoning_summary", {"summary_index": 0}
    part = {"type": "summary_text", "text": answer.thinking}
    item = {
        "id": "rs_1", "type": "reasoning", "summary": [part],
        "encrypted_content": answer.seal or None, "status": "completed",
    }  # fmt: skip
    events = [(f"{kind}_part.added", {**at, "part": {**part, "text": ""}})]
    told = pieces(answer.thinking, answer.piece)
    events += [(f"{kind}_text.delta", {**at, "delta": text}) for text in told]
    events.append((f"{kind}_text.done", {**at, "text": answer.thinking}))
    return item, [*events, (f"{kind}_part.done", {**at, "part": part})]


def _message(answer: Answer) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    at = {"content_index": 0}
    part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    item = {
        "id": "msg_1", "type": "message", "role": answer.role, "content": [part],
        "status": "completed",
    }  # fmt: skip
    events = [("content_part.added", {**at, "part": {**part, "text": ""}})]
    told = pieces(answer.text, answer.piece)
    events += [("output_text.delta", {**at, "delta": text, "logprobs": []}) for text in told]
    events.append(("output_text.done", {**at, "text": answer.text, "logprobs": []}))
    return item, [*events, ("content_part.done", {**at, "part": part})]


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    """*item* before anything came to it."""
    empty: dict[str, Any] = {"content": [], "summary": [], "arguments": ""}
    known = {key: value for key, value in empty.items() if key in item}
    return {**item, **known, "status": "in_progress"}


def _frame(asked: Asked, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 1_767_225_600, "status": status,
        "model": asked.body.get("model", ""), "output": output, "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": True, "temperature": None, "top_p": None,
    }  # fmt: skip


def _usage(answer: Answer) -> dict[str, Any]:
    taken, given = answer.tokens or (0, 0)
    return {
        "input_tokens": taken,
        "output_tokens": given,
        "total_tokens": taken + given,
        "input_tokens_details": {"cached_tokens": answer.cached, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": answer.reasoning},
    }
