"""The tool `llm:generate`: how every agent, in any language, asks a model."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from loom import ToolProvider
from loom.contracts import (
    BudgetExceeded,
    ErrorCode,
    ModelError,
    ModelReply,
    TextDelta,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolHints,
)
from loom.models import Asking, read_asking
from loom_kernel import Host

from loom_plugin_models.service import Service

NAME = "llm:generate"
_TEXT = {"type": "string"}
GENERATE = ToolDescriptor(
    name=NAME,
    description="Ask a language model. Give `prompt`, or `messages` of a conversation.",
    parameters={
        "type": "object",
        "properties": {
            "prompt": {**_TEXT, "description": "The question, instead of messages"},
            "system": {**_TEXT, "description": "How the model is to behave"},
            "messages": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "role": {"enum": ["system", "user", "assistant", "tool"]},
                        "content": _TEXT,
                        "calls": {"type": "array", "items": {"type": "object"}},
                        "thinking": {"type": "array", "items": {"type": "object"}},
                        "call_id": _TEXT,
                        "is_error": {"type": "boolean"},
                    },
                    "required": ["role"],
                    "additionalProperties": False,
                },
            },
            "model": {**_TEXT, "description": "Name of an [llm.<name>]; empty = the default one"},
            "tools": {"type": "array", "items": {"type": "object"}},
            "tool_choice": {"enum": ["auto", "required", "none"]},
            "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
            "max_tokens": {"type": ["integer", "null"], "minimum": 1},
            "stop": {"type": "array", "items": _TEXT},
            "schema": {
                "type": ["object", "null"],
                "description": "JSON Schema that the answer has to fit",
            },
            "stream": {
                **_TEXT,
                "description": "A name: tell the answer on tool.call.progressed under this mark",
            },
        },
        "additionalProperties": False,
    },
    timeout=600.0,
    # It costs, so a journal keeps what came of it; a question may be asked twice all the same.
    hints=ToolHints(idempotent=True),
)

_CODES: dict[str, ErrorCode] = {
    "MODEL_UNAUTHORIZED": "PROVIDER_UNAVAILABLE",
    "MODEL_RATE_LIMITED": "PROVIDER_UNAVAILABLE",
    "MODEL_UNAVAILABLE": "PROVIDER_UNAVAILABLE",
    "MODEL_CIRCUIT_OPEN": "PROVIDER_UNAVAILABLE",
    "MODEL_TIMEOUT": "ACTION_TIMEOUT",
    "MODEL_REFUSED": "PERMISSION_DENIED",
}


class Arguments(Asking, frozen=True, forbid_unknown_fields=True):
    """What the tool is called with."""

    model: str = ""
    stream: str = ""


async def offer(host: Host, service: Service, concurrency: int) -> ToolProvider:
    """Offer the tool; its provider has to be withdrawn in the end."""
    provider = ToolProvider(host, limit=concurrency)

    async def generate(call: ToolCall) -> Any:
        arguments = read_asking(call, Arguments)
        try:
            return msgspec.to_builtins(await _answered(service, provider, call, arguments))
        except BudgetExceeded as error:
            raise ToolError(NAME, "BUDGET_EXCEEDED", str(error), _spent(error)) from error
        except ModelError as error:
            code = _CODES.get(error.code, "ACTION_ERROR")
            raise ToolError(NAME, code, str(error), _details(error)) from error

    provider.add(GENERATE, generate)
    await provider.start()
    return provider


async def _answered(
    service: Service, provider: ToolProvider, call: ToolCall, arguments: Arguments
) -> ModelReply:
    """The reply; its parts are told on the way, if they are wanted."""
    told = {"text": 0, "thinking": 0}
    asked = service.stream(arguments.model, arguments.request, who=call.caller)
    async with asked as parts:
        async for part in parts:
            if isinstance(part, ModelReply):
                return part
            if arguments.stream:
                kind = "text" if isinstance(part, TextDelta) else "thinking"
                told[kind] += len(part.text)
                await provider.progress(
                    call, told[kind], message=part.text, kind=kind, mark=arguments.stream
                )
                await asyncio.sleep(0)  # many parts may be there at once: each is heard now
    raise ModelError(arguments.model, "MODEL_INTERRUPTED", "the answer has no end")


def _details(error: ModelError) -> dict[str, Any]:
    return {
        "endpoint": error.endpoint,
        "code": error.code,
        "message": error.message,
        "is_final": error.is_final,
        "retry_after": error.retry_after,
        "partial": error.partial,
    }


def _spent(error: BudgetExceeded) -> dict[str, Any]:
    return {
        "unit": error.unit,
        "wanted": error.wanted,
        "left": error.left,
        "thread": error.thread,
    }
