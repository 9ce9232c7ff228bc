"""From a request to a case: whose limits hold, how far it may go, who can be asked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from loom.contracts import ModelRecord, RouteRequest
from loom_kernel import Envelope, current

from loom_plugin_router.bandit import Vector, features_of
from loom_plugin_router.choosing import Candidate, Case
from loom_plugin_router.estimators import Estimators
from loom_plugin_router.figures import Figures
from loom_plugin_router.privacy import LEVELS, LOCAL_ONLY, is_allowed, strictest
from loom_plugin_router.settings import Policies, Settings

REQUESTS = frozenset({"tool.call", "router.decide"})


class Wants(msgspec.Struct, frozen=True):
    """The limits of one thought: the stricter of what the owner set and what was asked."""

    level: int
    labels: frozenset[str]
    latency_ms: float
    cost_cap: float
    quality: float


class Weighed(msgspec.Struct, frozen=True):
    """A request with all that a choice needs."""

    case: Case
    wants: Wants
    request: RouteRequest
    event_id: str
    features: Vector


class Scales:
    """Weighs requests."""

    def __init__(
        self, settings: Settings, policies: Policies, estimators: Estimators, figures: Figures
    ) -> None:
        self._settings = settings
        self._policies = policies
        self._estimators = estimators
        self._figures = figures

    def wants(self, request: RouteRequest, cause: Envelope | None) -> Wants:
        """The limits that hold for *request*, caused by *cause*."""
        policy = self._policies.of(request.agent)
        labels = labels_of(cause)
        said = cause.metadata.get("privacy", "") if cause is not None else ""
        latency, cap, quality = request.latency_ms, request.cost_cap, request.quality
        return Wants(
            strictest((policy.privacy, request.privacy, said), labels),
            labels,
            policy.latency_budget_ms if latency is None else latency,
            policy.cost_cap if cap is None else min(cap, policy.cost_cap),
            policy.quality if quality is None else quality,
        )

    def weigh(
        self,
        request: RouteRequest,
        cause: Envelope | None,
        records: Sequence[ModelRecord],
        now: float,
    ) -> Weighed:
        """All that a choice for *request* needs."""
        wants = self.wants(request, cause)
        named = self._settings.private_to
        allowed = [one for one in records if is_allowed(one, wants.level, named)]
        ready = [one for one in allowed if one.state == "ready"]
        confidence, is_supported = self._confidence(request, wants, now)
        case = Case(
            local=self._candidates(ready, request, now, is_local=True),
            cloud=self._candidates(ready, request, now, is_local=False),
            forbidden=len(records) - len(allowed),
            level=LEVELS[wants.level],
            confidence=confidence,
            is_supported=is_supported,
            latency_ms=wants.latency_ms,
            cost_cap=wants.cost_cap,
            quality=wants.quality,
            hybrid_from=self._settings.hybrid_from,
            is_dropped=self._settings.when_forbidden == "drop" or _is_expired(cause, now),
        )
        return Weighed(case, wants, request, event_of(cause), _features(request, confidence))

    def _confidence(self, request: RouteRequest, wants: Wants, now: float) -> tuple[float, bool]:
        """How sure it is that a local answer will do; nothing is asked if it has to."""
        if wants.level == LOCAL_ONLY:
            return 1.0, True
        estimator = self._estimators.find(request.event_type)
        if estimator is None:
            return 0.0, False
        past = self._figures.past.get(request.event_type)
        if past is not None:
            more = {"past": past.value, "past_count": past.count * past.weight(now)}
            request = msgspec.structs.replace(request, details={**request.details, **more})
        return self._estimators.ask(estimator, request), True

    def _candidates(
        self, ready: Sequence[ModelRecord], request: RouteRequest, now: float, *, is_local: bool
    ) -> list[Candidate]:
        settings, figures = self._settings, self._figures
        return [
            Candidate(
                one.name,
                is_local,
                figures.ms(one, settings, now),
                figures.cost(one, settings, request.details, now),
            )
            for one in ready
            if one.is_local is is_local
        ]


def labels_of(cause: Envelope | None) -> frozenset[str]:
    """The labels of *cause*, and of what is being handled: it may have joined others' since."""
    handled = current.get()
    labels = cause.labels if cause is not None else frozenset[str]()
    return labels if handled is None else labels | handled.labels


def event_of(cause: Envelope | None) -> str:
    """The event that a thought is about: of a request on the bus, what that was caused by."""
    if cause is None:
        return ""
    return cause.causation_id or cause.id if cause.topic in REQUESTS else cause.id


def _is_expired(cause: Envelope | None, now: float) -> bool:
    return cause is not None and 0 < cause.expires < now


def _features(request: RouteRequest, confidence: float) -> Vector:
    details = request.details
    return features_of(
        confidence,
        int(details.get("characters", 0)),
        int(details.get("tools", 0)),
    )
