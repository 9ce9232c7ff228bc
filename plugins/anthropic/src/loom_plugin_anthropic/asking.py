"""Requests in the words of Anthropic's messages."""

from __future__ import annotations

from typing import Any

from loom.contracts import Message, ModelRequest
from loom.models import Endpoint, wire_name

CHOICES = {"auto": "auto", "required": "any", "none": "none"}
REDACTED = "redacted "
"""How the seal begins of thoughts that are told only as a cipher."""


def messages_body(endpoint: Endpoint, request: ModelRequest) -> dict[str, Any]:
    """The arguments of `messages.create`."""
    system = "\n\n".join(one.content for one in request.messages if one.role == "system")
    body = {
        "model": request.model or endpoint.model,
        "messages": _messages(request.messages),
        "max_tokens": request.max_tokens or endpoint.max_tokens,
        "system": system or None,
        "stop_sequences": list(request.stop) or None,
        "stream": endpoint.stream,
        "extra_body": _options(endpoint) or None,
    }
    if request.tools:
        body["tools"] = [
            {
                "name": wire_name(tool.name),
                "description": tool.description,
                "input_schema": tool.parameters,
            }
            for tool in request.tools
        ]
        body["tool_choice"] = {"type": CHOICES[request.tool_choice]}
    if request.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    return {key: value for key, value in body.items() if value is not None}


def _options(endpoint: Endpoint) -> dict[str, Any]:
    """What is sent as it is.

    These models choose their own temperature: the protocol has no word for one any more, so only
    the owner can send it, to an endpoint that takes it.
    """
    if endpoint.temperature is None:
        return endpoint.options
    return {"temperature": endpoint.temperature, **endpoint.options}


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The conversation; results of tools that follow each other are one message of the user."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if found and found[-1]["role"] == role:
            found[-1]["content"] += blocks
        elif blocks:
            found.append({"role": role, "content": blocks})
    return found


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        block = {"type": "tool_result", "tool_use_id": message.call_id, "content": message.content}
        return [block | ({"is_error": True} if message.is_error else {})]
    blocks = [_thought(one.text, one.seal) for one in message.thinking if one.seal]
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    for call in message.calls:
        own = {"id": call.id, "name": wire_name(call.name), "input": call.arguments}
        blocks.append({"type": "tool_use", **own})
    return blocks


def _thought(text: str, seal: str) -> dict[str, Any]:
    if seal.startswith(REDACTED):
        return {"type": "redacted_thinking", "data": seal.removeprefix(REDACTED)}
    return {"type": "thinking", "thinking": text, "signature": seal}
