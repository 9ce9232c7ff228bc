"""A day of questions, replayed: three kinds, three models, and what each answer would be worth.

The router sees only what it would see: an estimate that is off, the length, whether tools are
wanted. The oracle sees the kind and the true means.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from loom_plugin_router.bandit import Bandit, features_of

KINDS = {"easy": 0.5, "middling": 0.3, "hard": 0.2}
CONFIDENCE = {"easy": 0.85, "middling": 0.55, "hard": 0.25}
LENGTH = {"easy": 80, "middling": 600, "hard": 4_000}
TOOLS = {"easy": 0.1, "middling": 0.3, "hard": 0.6}
COSTS = {"small": 0.0, "middle": 0.001, "large": 0.008}
QUALITY = {
    "easy": {"small": 0.95, "middle": 0.95, "large": 0.95},
    "middling": {"small": 0.60, "middle": 0.93, "large": 0.94},
    "hard": {"small": 0.30, "middle": 0.60, "large": 0.93},
}
BEST = "large"
CAP, WEIGHT, EXPLORATION = 0.01, 0.1, 0.1
"""The router's defaults."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it; regrets are a question's, in quality."""

    quality: float
    best_quality: float
    """Of the best model alone."""
    saved: float
    """Share of what the best model alone would have cost."""
    early_regret: float
    late_regret: float


def replay(seed: int, count: int) -> Replayed:
    """Let a fresh bandit answer *count* questions, each judged with some noise."""
    random, bandit = Random(seed), Bandit()
    regrets, qualities, best, cost = [], 0.0, 0.0, 0.0
    for _ in range(count):
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        seen = _seen(kind, random)
        chosen = bandit.choose(list(COSTS), seen, EXPLORATION)
        judged = min(max(random.gauss(QUALITY[kind][chosen], 0.08), 0.0), 1.0)
        bandit.learn(chosen, seen, judged - _price(chosen))
        worth = {name: QUALITY[kind][name] - _price(name) for name in COSTS}
        regrets.append(max(worth.values()) - worth[chosen])
        qualities += QUALITY[kind][chosen]
        best += QUALITY[kind][BEST]
        cost += COSTS[chosen]
    tenth = count // 10
    return Replayed(
        qualities / count,
        best / count,
        1 - cost / (COSTS[BEST] * count),
        sum(regrets[:tenth]) / tenth,
        sum(regrets[-tenth:]) / tenth,
    )


def _seen(kind: str, random: Random) -> list[float]:
    confidence = min(max(random.gauss(CONFIDENCE[kind], 0.07), 0.0), 1.0)
    length = int(random.lognormvariate(0, 0.3) * LENGTH[kind])
    return features_of(confidence, length, int(random.random() < TOOLS[kind]))


def _price(name: str) -> float:
    return WEIGHT * COSTS[name] / CAP
