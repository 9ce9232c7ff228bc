"""Requests in the words of the two protocols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from loom.contracts import Message, ModelRequest, ModelTool, ToolUse
from loom.models import Endpoint, wire_name, write_arguments

OWN = "api.openai.com"
"""Where `max_tokens` is called otherwise since there are models that think."""


def chat_body(endpoint: Endpoint, request: ModelRequest) -> dict[str, Any]:
    """The arguments of `chat.completions.create`."""
    is_own = urlsplit(endpoint.api_base).hostname == OWN
    body = {
        "model": request.model or endpoint.model,
        "messages": [_chat_message(message, is_own) for message in request.messages],
        "max_completion_tokens" if is_own else "max_tokens": _most(endpoint, request),
        "temperature": _warmth(endpoint, request),
        "stop": list(request.stop) or None,
        "stream": endpoint.stream,
        "stream_options": {"include_usage": True} if endpoint.stream else None,
        "extra_body": endpoint.options or None,
    }
    if request.tools:
        body["tools"] = [{"type": "function", "function": _tool(tool)} for tool in request.tools]
        body["tool_choice"] = request.tool_choice
    if request.schema is not None:
        schema = {"name": "answer", "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return {key: value for key, value in body.items() if value is not None}


def responses_body(endpoint: Endpoint, request: ModelRequest) -> dict[str, Any]:
    """The arguments of `responses.create`; nothing is kept at the endpoint."""
    system = "\n\n".join(one.content for one in request.messages if one.role == "system")
    body = {
        "model": request.model or endpoint.model,
        "input": [item for message in request.messages for item in _items(message)],
        "instructions": system or None,
        "max_output_tokens": _most(endpoint, request),
        "temperature": _warmth(endpoint, request),
        "stream": endpoint.stream,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "extra_body": endpoint.options or None,
    }
    if request.tools:
        offered = [{"type": "function", **_tool(tool), "strict": False} for tool in request.tools]
        body |= {"tools": offered, "tool_choice": request.tool_choice}
    if request.schema is not None:
        form = {"type": "json_schema", "name": "answer", "schema": request.schema}
        body["text"] = {"format": form}
    return {key: value for key, value in body.items() if value is not None}


def said_of(message: Message) -> str:
    """The content of a tool's result; these protocols have no other place for its failure."""
    return f"Error: {message.content}" if message.is_error else message.content


def _most(endpoint: Endpoint, request: ModelRequest) -> int:
    return request.max_tokens or endpoint.max_tokens


def _warmth(endpoint: Endpoint, request: ModelRequest) -> float | None:
    return endpoint.temperature if request.temperature is None else request.temperature


def _tool(tool: ModelTool) -> dict[str, Any]:
    return {
        "name": wire_name(tool.name),
        "description": tool.description,
        "parameters": tool.parameters,
    }


def _chat_message(message: Message, is_own: bool) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": said_of(message)}
    if not message.calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": call.id, "type": "function", "function": _function(call)} for call in message.calls
    ]
    written = {"role": message.role, "content": message.content or None, "tool_calls": calls}
    thought = "".join(one.text for one in message.thinking)
    # Endpoints of models that think between calls want that back; OpenAI's own has no such field.
    return written | ({"reasoning_content": thought} if thought and not is_own else {})


def _function(call: ToolUse) -> dict[str, str]:
    return {"name": wire_name(call.name), "arguments": write_arguments(call)}


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """What *message* is among the input of `responses`."""
    if message.role == "tool":
        output = said_of(message)
        yield {"type": "function_call_output", "call_id": message.call_id, "output": output}
        return
    for thought in message.thinking:
        id, _, sealed = thought.seal.partition(" ")
        if sealed:
            summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
            own = {"id": id, "summary": summary, "encrypted_content": sealed}
            yield {"type": "reasoning", **own}
    if message.content and message.role != "system":
        yield {"role": message.role, "content": message.content}
    for call in message.calls:
        yield {"type": "function_call", "call_id": call.id, **_function(call)}
