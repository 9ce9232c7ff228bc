"""The router: decides, keeps what it decided, and learns what came of it."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter, OrderedDict

import msgspec
from loom.contracts import Models, RouteDecision, RouteRequest
from loom_kernel import ConfigError, Envelope, Health, Host, LoomError, current

from loom_plugin_router.choosing import Candidate, Choice, choose
from loom_plugin_router.decisions import Decisions
from loom_plugin_router.estimators import Estimators
from loom_plugin_router.keeping import Keeping
from loom_plugin_router.learning import Learner
from loom_plugin_router.settings import Policies, Settings
from loom_plugin_router.weighing import Scales, Weighed, event_of

MOST = 2_000
"""Decisions whose outcome is waited for."""


class Plan(msgspec.Struct):
    """A decision with all that led to it."""

    decision: RouteDecision
    weighed: Weighed

    @property
    def others(self) -> list[Candidate]:
        """Who else may be asked if that fails, those on this machine first."""
        case = self.weighed.case
        chosen = (self.decision.endpoint, self.decision.refine)
        paid = [one for one in case.cloud if one.cost <= case.cost_cap]
        return [one for one in (*case.local, *paid) if one.name not in chosen]


class Service:
    """See `loom.contracts.Router`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings: Settings = host.settings
        keeping = Keeping(host)
        self.learner = Learner(self._settings, keeping.learned(), host.clock)
        self.decisions = Decisions(host, keeping, self._settings.keep)
        self._estimators = Estimators(host, self._settings)
        policies = Policies(self._settings, host.tables.get("agents", {}))
        self._scales = Scales(self._settings, policies, self._estimators, self.learner.figures)
        self._models = host.require(Models)
        self._check_names()
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        """By decision."""
        self._standing: OrderedDict[str, str] = OrderedDict()
        """The decision on an event of `topics` that nobody has thought about yet."""
        self._counts: Counter[str] = Counter()
        self._prefix = secrets.token_hex(6)  # no other start has it
        self._numbers = itertools.count(1)

    # -- deciding ----------------------------------------------------------------------------

    def decide(self, request: RouteRequest, cause: Envelope | None = None) -> RouteDecision:
        return self.plan(request, cause).decision

    def plan(self, request: RouteRequest, cause: Envelope | None = None) -> Plan:
        """Decide, keep it, and tell of it."""
        plan = self.outlook(request, cause)
        decision = plan.decision
        self._counts[decision.route] += 1
        self._remember(plan)
        self.decisions.put(decision)
        self._tell("router.decided", decision, cause)
        return plan

    def outlook(self, request: RouteRequest, cause: Envelope | None = None) -> Plan:
        """What would be decided; nobody is told."""
        cause = cause or current.get()
        now = self._host.clock.time()
        weighed = self._scales.weigh(request, cause, self._models.list(), now)
        if self._settings.learning:
            pick = self.learner.picker(weighed.features)
            case = msgspec.structs.replace(weighed.case, pick=pick)
            weighed = msgspec.structs.replace(weighed, case=case)
        return Plan(self._decision(weighed, choose(weighed.case), now), weighed)

    def stand(self, request: RouteRequest, event: Envelope) -> None:
        """Decide about *event*, for whoever thinks about it."""
        plan = self.plan(request, event)
        self._standing[event.id] = plan.decision.id
        if len(self._standing) > MOST:
            self._standing.popitem(last=False)

    def take(self, request: RouteRequest, cause: Envelope | None) -> Plan:
        """The decision that stands for the event behind *cause*, if it fits; else a new one."""
        standing = self._plans.get(self._standing.pop(event_of(cause), ""))
        if standing is None or standing.weighed.wants != self._scales.wants(request, cause):
            return self.plan(request, cause)
        usable = {one.name for one in self._models.list() if one.state == "ready"}
        decision = standing.decision
        if {decision.endpoint, decision.refine} - usable - {""}:
            return self.plan(request, cause)
        standing.decision = msgspec.structs.replace(decision, agent=request.agent)
        return standing

    # -- learning ----------------------------------------------------------------------------

    def learn(
        self, decision: RouteDecision, *, ms: float, cost: float, quality: float | None
    ) -> None:
        is_good = quality is None or quality > 0
        name = decision.refine or decision.endpoint
        if name:
            self.observe(decision.id, name, ms, cost, is_good=is_good)
        actual = msgspec.structs.replace(decision, actual_ms=ms, actual_cost=cost)
        self.settle(actual, is_good=is_good)
        if quality is not None:
            self.rate(decision.id, quality)

    def observe(self, id: str, name: str, ms: float, cost: float, *, is_good: bool) -> None:
        """Endpoint *name*, asked because of decision *id*, took that."""
        plan = self._plans.get(id)
        record = next((one for one in self._models.list() if one.name == name), None)
        if record is not None and plan is not None:
            self.learner.observe(record, plan.weighed, ms, cost, is_good=is_good)

    def settle(self, decision: RouteDecision, *, is_good: bool) -> None:
        """*decision* was carried out; it says where, and what that took."""
        if not is_good:
            self._counts["unanswered"] += 1
        self.decisions.put(decision)
        plan = self._plans.get(decision.id)
        if plan is not None:
            plan.decision = decision
            if is_good:
                self.learner.settle(decision, plan.weighed)
        self._tell("router.settled", decision, None)

    def rate(self, id: str, quality: float) -> bool:
        """Somebody judged the answer of decision *id*: 0 to 1. Whether it is known still."""
        plan = self._plans.get(id)
        if plan is None or not (plan.decision.refine or plan.decision.endpoint):
            return False
        self._counts["rated"] += 1
        self.learner.rate(plan.decision, plan.weighed, quality)
        return True

    # -- the rest ----------------------------------------------------------------------------

    def health(self) -> Health:
        """What was decided so far, and which estimators are left alone."""
        gone = self._estimators.left_alone
        text = f"estimators left alone: {', '.join(gone)}" if gone else "ok"
        metrics: dict[str, float] = {**self._counts, "kept": float(len(self.decisions))}
        late = {f"estimators_{kind}": count for kind, count in self._estimators.counts.items()}
        return Health(healthy=not gone, message=text, metrics={**metrics, **late})

    def _check_names(self) -> None:
        known = [one.name for one in self._models.list()]
        for name in self._settings.private_to:
            if name not in known:
                raise ConfigError(
                    f"'private_to' in [plugins.router] names {name!r}, and there is no [llm.{name}]"
                )

    def _remember(self, plan: Plan) -> None:
        self._plans[plan.decision.id] = plan
        if len(self._plans) > MOST:
            self._plans.popitem(last=False)

    def _decision(self, weighed: Weighed, choice: Choice, now: float) -> RouteDecision:
        case = weighed.case
        return RouteDecision(
            id=f"{self._prefix}-{next(self._numbers)}",
            route=choice.route,
            endpoint=choice.endpoint.name if choice.endpoint is not None else "",
            reason=choice.reason,
            confidence=case.confidence,
            refine=choice.refine.name if choice.refine is not None else "",
            violations=choice.violations,
            estimated_ms=choice.ms,
            estimated_cost=choice.cost,
            agent=weighed.request.agent,
            event_id=weighed.event_id,
            privacy=case.level,
            time=now,
        )

    def _tell(self, topic: str, decision: RouteDecision, cause: Envelope | None) -> None:
        token = current.set(cause or current.get())
        try:
            self._host.publish_nowait(topic, decision, subject=decision.event_id)
        except LoomError as error:  # a thought does not fail because nobody can be told of it
            self._host.log.warning("%s of %s is not told: %s", topic, decision.id, error)
        finally:
            current.reset(token)
