"""What is told of a question, under OpenTelemetry's names for generative models.

https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from loom.contracts import ModelError, ModelReply, Usage
from loom.models import Endpoint

_PROVIDERS = {"responses": "openai"}


def completed(endpoint: Endpoint, reply: ModelReply, times: Mapping[str, float]) -> dict[str, Any]:
    """The data of `llm.call.completed`: never what was asked or said."""
    return {
        **_common(endpoint, reply.usage, times),
        "gen_ai.response.model": reply.model,
        "gen_ai.response.id": reply.id,
        "gen_ai.response.finish_reasons": [reply.finish],
    }


def failed(
    endpoint: Endpoint, error: ModelError, usage: Usage, times: Mapping[str, float]
) -> dict[str, Any]:
    """The data of `llm.call.failed`."""
    return {
        **_common(endpoint, usage, times),
        "error.type": error.code,
        "loom.message": error.message,
    }


def _common(endpoint: Endpoint, usage: Usage, times: Mapping[str, float]) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(endpoint.driver, endpoint.driver),
        "gen_ai.request.model": endpoint.model,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "server.address": urlsplit(endpoint.api_base).hostname or "",
        "loom.endpoint": endpoint.name,
        "loom.usage.cached_tokens": usage.cached_tokens,
        "loom.usage.reasoning_tokens": usage.reasoning_tokens,
        "loom.usage.is_estimated": usage.is_estimated,
        "loom.cost": usage.cost,
        **{name: round(seconds, 6) for name, seconds in times.items()},
    }
