"""The tools `llm:think`, which asks whom the router chose, and `router:rate`, which judges that."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from loom import ToolProvider
from loom.contracts import (
    BudgetExceeded,
    ErrorCode,
    ModelError,
    ModelPart,
    ModelReply,
    RouteDecision,
    TextDelta,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolHints,
)
from loom.models import read_asking
from loom_kernel import Host, current

from loom_plugin_router.privacy import PRIVATE, marked
from loom_plugin_router.questions import NAME, THINK, Question
from loom_plugin_router.service import Plan, Service
from loom_plugin_router.settings import Settings
from loom_plugin_router.thinking import Thinking, Thought

RATE = ToolDescriptor(
    name="router:rate",
    description="Judge an answer of llm:think, so that the router chooses better next time.",
    parameters={
        "type": "object",
        "properties": {
            "decision": {"type": "string", "description": "The id in the answer's `decision`"},
            "quality": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["decision", "quality"],
        "additionalProperties": False,
    },
    hints=ToolHints(idempotent=True),
)
_CODES: dict[str, ErrorCode] = {
    "MODEL_TIMEOUT": "ACTION_TIMEOUT",
    "MODEL_REFUSED": "PERMISSION_DENIED",
    "MODEL_MALFORMED": "ACTION_ERROR",
    "MODEL_INTERRUPTED": "ACTION_ERROR",
}


async def offer(host: Host, service: Service) -> ToolProvider:
    """Offer the tools; their provider has to be withdrawn in the end."""
    settings: Settings = host.settings
    provider = ToolProvider(host, limit=settings.concurrency)
    tools = _Tools(host, service, provider)
    provider.add(THINK, tools.think)
    provider.add(RATE, tools.rate)
    await provider.start()
    return provider


class _Tools:
    """Runs both tools."""

    def __init__(self, host: Host, service: Service, provider: ToolProvider) -> None:
        self._host = host
        self._service = service
        self._provider = provider

    async def think(self, call: ToolCall) -> Any:
        question = read_asking(call, Question)
        wanted = question.wanted(call.caller)
        plan = self._service.take(wanted, current.get())
        if plan.decision.route in ("defer", "drop"):
            raise _put_off(plan.decision)
        self._mark(plan, question)
        try:
            thought = await self._thinking(call, plan, question).answer()
        except BudgetExceeded as error:
            raise ToolError(NAME, "BUDGET_EXCEEDED", str(error), _told(plan)) from error
        except ModelError as error:
            code = _CODES.get(error.code, "PROVIDER_UNAVAILABLE")
            details = {**_told(plan), "code": error.code, "endpoint": error.endpoint}
            raise ToolError(NAME, code, str(error), details) from error
        return _output(thought)

    async def rate(self, call: ToolCall) -> Any:
        id, quality = str(call.arguments["decision"]), float(call.arguments["quality"])
        if not self._service.rate(id, quality):
            gone = f"decision {id!r} is not known, or too old to be judged"
            raise ToolError(RATE.name, "INVALID_PARAMS", gone)
        return {"rated": id}

    def _mark(self, plan: Plan, question: Question) -> None:
        """Let all that comes of it carry how private it is: the answer is, as the question."""
        cause, level = current.get(), plan.weighed.wants.level
        if cause is not None and (level >= PRIVATE or question.privacy):
            current.set(marked(cause, level))

    def _thinking(self, call: ToolCall, plan: Plan, question: Question) -> Thinking:
        told = {"text": 0, "thinking": 0}

        async def heard(part: ModelPart) -> bool:
            if not question.stream or isinstance(part, ModelReply):
                return False
            kind = "text" if isinstance(part, TextDelta) else "thinking"
            told[kind] += len(part.text)
            await self._provider.progress(call, told[kind], message=part.text, kind=kind)
            await asyncio.sleep(0)  # many parts may be there at once: each is heard now
            return True

        async def quick(reply: ModelReply) -> None:
            await self._provider.progress(
                call, len(reply.content), message=reply.content, kind="quick"
            )

        request = question.request
        return Thinking(self._host, self._service, plan, request, heard=heard, quick=quick)


def _put_off(decision: RouteDecision) -> ToolError:
    code: ErrorCode = "PROVIDER_UNAVAILABLE" if decision.route == "defer" else "PERMISSION_DENIED"
    word = "put off" if decision.route == "defer" else "dropped"
    details = {"decision": msgspec.to_builtins(decision)}
    return ToolError(NAME, code, f"{word}: {decision.reason}", details)


def _told(plan: Plan) -> dict[str, Any]:
    return {"decision": msgspec.to_builtins(plan.decision)}


def _output(thought: Thought) -> dict[str, Any]:
    reply: dict[str, Any] = msgspec.to_builtins(thought.reply)
    return {**reply, "phase": thought.phase, **_told(thought.plan)}
