"""Learns which endpoint answers which questions well for little: LinUCB, an arm an endpoint.

https://arxiv.org/abs/1003.0146, algorithm 1, with the inverse kept by Sherman and Morrison's
formula: a choice takes some tens of microseconds, without numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

Vector = list[float]
BINS = 5
SIZE = BINS + 3
"""Features of a question."""
BEST = 1.0
"""The reward that is expected where nothing is known: as good as can be, so that it is tried."""


class Arm(msgspec.Struct):
    """What is known of one endpoint."""

    inverse: list[Vector]
    """Of the matrix A: how much is known in which direction."""
    rewards: Vector
    """The vector b."""
    weights: Vector
    """Their product: what each feature is worth."""
    pulls: int = 0


def new_arm() -> Arm:
    """An arm that nothing is known of."""
    unit = [[float(row == column) for column in range(SIZE)] for row in range(SIZE)]
    return Arm(unit, [0.0] * SIZE, [0.0] * SIZE)


class Bandit(msgspec.Struct):
    """Kept in the router's state; read from there it is as it was."""

    arms: dict[str, Arm] = {}

    def choose(self, names: Sequence[str], features: Vector, exploration: float) -> str:
        """The best of *names* for a question of *features*, as far as is known."""
        return max(names, key=lambda name: self._score(name, features, exploration))

    def learn(self, name: str, features: Vector, reward: float) -> None:
        """A question of *features* brought *reward* at *name*."""
        arm = self.arms.setdefault(name, new_arm())
        known = _times(arm.inverse, features)
        scale = 1.0 + _dot(features, known)
        for row, left in zip(arm.inverse, known, strict=True):
            for column, right in enumerate(known):
                row[column] -= left * right / scale
        arm.pulls += 1
        self.correct(name, features, reward - BEST)

    def correct(self, name: str, features: Vector, difference: float) -> None:
        """What was learned of that question at *name* was wrong by *difference*."""
        arm = self.arms.setdefault(name, new_arm())
        arm.rewards = [
            known + difference * one for known, one in zip(arm.rewards, features, strict=True)
        ]
        arm.weights = _times(arm.inverse, arm.rewards)

    def _score(self, name: str, features: Vector, exploration: float) -> float:
        arm = self.arms.get(name)
        if arm is None:
            return exploration * math.sqrt(_dot(features, features))
        doubt = math.sqrt(max(_dot(features, _times(arm.inverse, features)), 0.0))
        return _dot(arm.weights, features) + exploration * doubt


def features_of(confidence: float, characters: int, tools: int) -> Vector:
    """What a choice is made by: confidence softly sorted into five bins, length, tools."""
    step = 1 / (BINS - 1)
    bins = [max(0.0, 1.0 - abs(confidence / step - place)) for place in range(BINS)]
    length = min(math.log2(1 + characters) / 16, 1.0)
    return [*bins, length, max(0.0, length - 0.6) * 2.5, 1.0 if tools else 0.0]


def is_sound(bandit: Bandit) -> bool:
    """Whether what was read can be used: its sizes fit."""
    return all(
        len(arm.inverse) == len(arm.rewards) == len(arm.weights) == SIZE
        and all(len(row) == SIZE for row in arm.inverse)
        for arm in bandit.arms.values()
    )


def _dot(left: Vector, right: Vector) -> float:
    return sum(map(float.__mul__, left, right))


def _times(matrix: list[Vector], vector: Vector) -> Vector:
    return [_dot(row, vector) for row in matrix]
