"""The choice itself: limits first, then confidence, or what was learned.

Nothing here looks at the world: the same case is always the same choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from loom.contracts import Route

LATENCY, COST, QUALITY, PRIVACY = "latency_budget", "cost_cap", "quality", "privacy"


class Candidate(msgspec.Struct, frozen=True):
    """An endpoint that may be asked, and what its answer is expected to take."""

    name: str
    is_local: bool
    ms: float
    cost: float


class Case(msgspec.Struct, frozen=True):
    """All that counts for one choice."""

    local: Sequence[Candidate]
    cloud: Sequence[Candidate]
    """Endpoints elsewhere that privacy allows, in the owner's order."""
    forbidden: int
    """How many others there are that privacy forbids."""
    level: str
    """Of privacy."""
    confidence: float
    is_supported: bool
    latency_ms: float
    cost_cap: float
    quality: float
    hybrid_from: float
    is_dropped: bool
    """What nobody may be asked is dropped rather than put off."""
    pick: Callable[[Sequence[Candidate]], Candidate] | None = None
    """What was learned chooses among those that keep the limits."""


class Choice(msgspec.Struct, frozen=True):
    """Where, why, and what that is expected to take."""

    route: Route
    reason: str
    endpoint: Candidate | None = None
    refine: Candidate | None = None
    violations: tuple[str, ...] = ()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Who is asked."""
        return tuple(one for one in (self.endpoint, self.refine) if one is not None)

    @property
    def ms(self) -> float:
        """Milliseconds until the last answer: both halves are asked at once."""
        return max((one.ms for one in self.candidates), default=0.0)

    @property
    def cost(self) -> float:
        """What all answers cost."""
        return sum(one.cost for one in self.candidates)


def choose(case: Case) -> Choice:
    """Where *case* is thought."""
    if not case.cloud:
        return _here(case) if case.local else _nowhere(case)
    if case.pick is None and case.local and _is_confident(case):
        return _local(case, f"a local answer will do ({case.confidence:.2f})")
    timely = [one for one in case.cloud if one.ms <= case.latency_ms]
    violations: tuple[str, ...] = ()
    if not timely:
        violations = (LATENCY,)
        if case.local:
            fastest = min(one.ms for one in case.cloud)
            why = f"{case.latency_ms:g} ms are too few for elsewhere ({fastest:.0f} ms)"
            return _local(case, why, violations)
        timely = [min(case.cloud, key=lambda one: one.ms)]
    paid = [one for one in timely if one.cost <= case.cost_cap]
    if not paid:
        return _too_dear(case, min(one.cost for one in timely), violations)
    return _elsewhere(case, paid, violations)


def _is_confident(case: Case) -> bool:
    return case.is_supported and case.confidence >= case.quality


def _here(case: Case) -> Choice:
    """Nobody elsewhere may be asked, or there is nobody."""
    if case.forbidden or case.level == "local-only":
        return _local(case, f"it is {case.level}")
    if _is_confident(case):
        return _local(case, f"a local answer will do ({case.confidence:.2f})")
    return _local(case, "there is nobody elsewhere", route="local_fallback")


def _nowhere(case: Case) -> Choice:
    if not case.forbidden:
        return Choice("defer", "no endpoint can be asked now")
    why = f"it is {case.level}, and no endpoint that it may go to can be asked now{_hint(case)}"
    return Choice("drop" if case.is_dropped else "defer", why, violations=(PRIVACY,))


def _hint(case: Case) -> str:
    """What the owner can do about it."""
    if case.level == "sensitive":
        return "; `trusted = true` in [llm.<name>] lets it go there"
    return "; `private_to` of [plugins.router] names some" if case.level == "private" else ""


def _too_dear(case: Case, cheapest: float, violations: tuple[str, ...]) -> Choice:
    why = f"elsewhere it would cost {cheapest:.4f}, over {case.cost_cap:g}"
    if case.local:
        return _local(case, why, (*violations, COST), "local_fallback")
    return Choice("defer", why, violations=(*violations, COST))


def _elsewhere(case: Case, paid: Sequence[Candidate], violations: tuple[str, ...]) -> Choice:
    if case.pick is None:
        chosen, why = paid[0], f"a local answer may not do ({case.confidence:.2f})"
    else:
        chosen, why = case.pick((*case.local, *paid)), "learned from what came of such questions"
        if chosen.is_local:
            return Choice("local", why, chosen, violations=violations)
    quick = _quick(case, chosen, paid)
    is_middling = case.is_supported and case.hybrid_from < case.confidence < case.quality
    if is_middling and quick is not None and quick.cost + chosen.cost <= case.cost_cap:
        why = f"a quick answer may do ({case.confidence:.2f}), a better one follows"
        return Choice("hybrid", why, quick, chosen, violations)
    return Choice("cloud", why, chosen, violations=violations)


def _quick(case: Case, chosen: Candidate, paid: Sequence[Candidate]) -> Candidate | None:
    """Who answers before *chosen*. Only what is public goes elsewhere twice."""
    if case.local:
        return case.local[0]
    faster = [one for one in paid if one.ms < chosen.ms and one.name != chosen.name]
    if case.level != "public" or not faster:
        return None
    return min(faster, key=lambda one: one.ms)


def _local(
    case: Case, reason: str, violations: tuple[str, ...] = (), route: Route = "local"
) -> Choice:
    chosen = case.local[0] if case.pick is None else case.pick(case.local)
    found = dict.fromkeys(violations)
    if chosen.ms > case.latency_ms:
        found[LATENCY] = None
    if chosen.cost > case.cost_cap:
        found[COST] = None
    if case.confidence < case.quality:
        found[QUALITY] = None
    return Choice(route, reason, chosen, violations=tuple(found))
