"""Requests on the bus: what would be or was decided, and judgements."""

from __future__ import annotations

from typing import Any

import msgspec
from loom.contracts import RouteDecision, RouteRequest, read
from loom_kernel import Envelope, Host, InvalidEnvelope

from loom_plugin_router.decisions import Query
from loom_plugin_router.questions import THOUGHT
from loom_plugin_router.service import Service
from loom_plugin_router.settings import Share


class Details(msgspec.Struct, frozen=True):
    """Of the details of a request, what Loom itself looks at."""

    text: str = ""
    characters: int = 0
    tools: int = 0
    max_tokens: int | None = None


class Doubt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`router.why`: where would this text be thought about?"""

    text: str
    agent: str = ""
    event_type: str = THOUGHT
    privacy: str = ""
    latency_ms: float | None = None
    cost_cap: float | None = None
    quality: float | None = None


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`router.rated`: how good the answer of a decision was."""

    decision: str
    quality: Share


class Requests:
    """Answers `router.decide`, `router.decisions` and `router.why`; hears `router.rated`."""

    def __init__(self, host: Host, service: Service) -> None:
        self._host = host
        self._service = service

    def listen(self) -> None:
        """Answer from now on."""
        for topic, handler in (
            ("router.decide", self._decide),
            ("router.decisions", self._find),
            ("router.why", self._why),
        ):
            self._host.on(topic, handler=self._answering(handler))
        self._host.on("router.rated", handler=self._rated)

    def _answering(self, handler: Any) -> Any:
        async def answer(envelope: Envelope) -> None:
            try:
                found = handler(envelope)
            except InvalidEnvelope as error:
                found = {"error": str(error)}
            await self._host.reply(envelope, found)

        return answer

    def _decide(self, envelope: Envelope) -> RouteDecision:
        request = read(envelope, RouteRequest)
        known = {name: request.details[name] for name in _KNOWN if name in request.details}
        try:
            msgspec.convert(known, Details)
        except msgspec.ValidationError as error:
            raise InvalidEnvelope(envelope.topic, "data", f"details: {error}") from error
        if "characters" not in known:
            more = {**request.details, "characters": len(str(known.get("text", "")))}
            request = msgspec.structs.replace(request, details=more)
        if not request.agent:
            request = msgspec.structs.replace(request, agent=envelope.sender)
        return self._service.decide(request, envelope)

    def _find(self, envelope: Envelope) -> dict[str, Any]:
        query = read(envelope, Query) if envelope.data else Query()
        return {"decisions": msgspec.to_builtins(self._service.decisions.find(query))}

    def _why(self, envelope: Envelope) -> dict[str, Any]:
        doubt = read(envelope, Doubt)
        details = {"text": doubt.text, "characters": len(doubt.text)}
        request = RouteRequest(
            doubt.agent, doubt.event_type, doubt.privacy, doubt.latency_ms, doubt.cost_cap,
            doubt.quality, details,
        )  # fmt: skip
        plan = self._service.outlook(request, envelope)
        case = plan.weighed.case
        asked = [msgspec.to_builtins(one) for one in (*case.local, *case.cloud)]
        return {
            "decision": msgspec.to_builtins(plan.decision),
            "allowed": asked,
            "forbidden": case.forbidden,
        }

    async def _rated(self, envelope: Envelope) -> None:
        judgement = read(envelope, Judgement)
        if not self._service.rate(judgement.decision, judgement.quality):
            self._host.log.warning("decision %r cannot be judged any more", judgement.decision)


_KNOWN = Details.__struct_fields__
