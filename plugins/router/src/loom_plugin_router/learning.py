"""What came of decisions: figures for everybody, and a bandit for those who want one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec
from loom.contracts import ModelRecord, RouteDecision
from loom_kernel import Clock

from loom_plugin_router.bandit import Vector
from loom_plugin_router.choosing import Candidate
from loom_plugin_router.figures import Figures
from loom_plugin_router.keeping import Learned
from loom_plugin_router.settings import Settings
from loom_plugin_router.weighing import Weighed

MOST = 2_000
"""Lessons that a judgement may still correct."""


class Learner:
    """Learns; what it knows is *learned*."""

    def __init__(self, settings: Settings, learned: Learned, clock: Clock) -> None:
        self._settings = settings
        self._learned = learned
        self._clock = clock
        self._lessons: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """By decision: the endpoint, and the quality that was learned of it."""

    @property
    def figures(self) -> Figures:
        """What endpoints take."""
        return self._learned.figures

    def text(self) -> bytes:
        """All that was learned, as it is kept."""
        return msgspec.json.encode(self._learned)

    def picker(self, features: Vector) -> Callable[[Sequence[Candidate]], Candidate]:
        """Who chooses among candidates for a question of *features*."""

        def pick(candidates: Sequence[Candidate]) -> Candidate:
            named = {one.name: one for one in candidates}
            bandit, exploration = self._learned.bandit, self._settings.exploration
            return named[bandit.choose(list(named), features, exploration)]

        return pick

    def observe(
        self, record: ModelRecord, weighed: Weighed, ms: float, cost: float, *, is_good: bool
    ) -> None:
        """An answer of *record* to the question of *weighed* took that, or there was none."""
        now = self._clock.time()
        if is_good:
            details = weighed.request.details
            self.figures.learn(record, self._settings, details, ms, cost, now)
            return
        self.figures.fail(record.name)
        if self._settings.learning:
            self._learned.bandit.learn(record.name, weighed.features, 0.0)
        if record.is_local:
            self.figures.remember(weighed.request.event_type, 0.0, now)

    def settle(self, decision: RouteDecision, weighed: Weighed) -> None:
        """*decision* was answered; whoever judges it later corrects what is learned here."""
        name = decision.refine or decision.endpoint
        if not name:
            return
        quality = self.figures.quality(name)
        self._lessons[decision.id] = (name, quality)
        if len(self._lessons) > MOST:
            self._lessons.popitem(last=False)
        if self._settings.learning:
            reward = quality - self._price(decision, weighed)
            self._learned.bandit.learn(name, weighed.features, reward)

    def rate(self, decision: RouteDecision, weighed: Weighed, quality: float) -> None:
        """The answer of *decision* was judged."""
        name, known = self._lessons.get(
            decision.id, (decision.refine or decision.endpoint, quality)
        )
        now = self._clock.time()
        self.figures.judge(name, quality, now)
        if _is_local(name, weighed):
            self.figures.remember(weighed.request.event_type, quality, now)
        if decision.id in self._lessons:
            self._lessons[decision.id] = (name, quality)
            if self._settings.learning and quality != known:
                self._learned.bandit.correct(name, weighed.features, quality - known)

    def _price(self, decision: RouteDecision, weighed: Weighed) -> float:
        """What cost and time are worth, in quality."""
        case = weighed.case
        cost = decision.actual_cost / case.cost_cap if case.cost_cap else 0.0
        late = decision.actual_ms / case.latency_ms - 1.0 if case.latency_ms else 0.0
        settings = self._settings
        return settings.cost_weight * min(cost, 2.0) + settings.latency_weight * min(
            max(late, 0.0), 2.0
        )


def _is_local(name: str, weighed: Weighed) -> bool:
    return any(one.name == name for one in weighed.case.local)
