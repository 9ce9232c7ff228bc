"""What endpoints take, as measured: each figure follows the newest ones."""

from __future__ import annotations

from typing import Any

import msgspec
from loom.contracts import ModelRecord

from loom_plugin_router.settings import Settings

WEIGHT = 0.2
"""Of the newest measurement, when there are many; the older ones share the rest."""
HALF_LIFE = 900.0
"""Seconds after which what was measured counts half beside what is expected.

An endpoint that was slow or dear once is not asked, so nobody would measure it again.
"""
PER_TOKEN = 3.0
"""Characters of a token, until it was measured what a question costs."""
FACTORS = (0.01, 100.0)


class Figure(msgspec.Struct):
    """A quantity that is measured now and then."""

    value: float = 0.0
    count: int = 0
    at: float = 0.0
    """When it was measured last; UNIX seconds."""

    def now(self, expected: float, now: float) -> float:
        """What it is taken to be; *expected* is what it would be taken for unmeasured."""
        if not self.count:
            return expected
        return expected + (self.value - expected) * self.weight(now)

    def weight(self, now: float) -> float:
        """How much its measurements still say: 1 to 0."""
        return float(0.5 ** (max(now - self.at, 0.0) / HALF_LIFE))

    def measure(self, value: float, expected: float, now: float) -> None:
        """It was *value*; what was *expected* counts as one measurement before."""
        known = self.now(expected, now)
        self.count += 1
        self.at = now
        self.value = known + max(WEIGHT, 1 / (self.count + 1)) * (value - known)


class Taken(msgspec.Struct):
    """Of one endpoint."""

    ms: Figure = msgspec.field(default_factory=Figure)
    factor: Figure = msgspec.field(default_factory=Figure)
    """What an answer costs, as a multiple of what the settings let expect."""
    quality: Figure = msgspec.field(default_factory=Figure)
    """As judged."""
    failures: int = 0


class Figures(msgspec.Struct):
    """Of all endpoints. Kept in the router's state; read from there it is as it was."""

    taken: dict[str, Taken] = {}
    past: dict[str, Figure] = {}
    """How well local answers did, by type of event."""

    def ms(self, record: ModelRecord, settings: Settings, now: float) -> float:
        """Milliseconds that an answer of *record* takes."""
        expected = expected_ms(record, settings)
        known = self.taken.get(record.name)
        return expected if known is None else known.ms.now(expected, now)

    def cost(self, record: ModelRecord, settings: Settings, details: Any, now: float) -> float:
        """What an answer of *record* to a question of these *details* costs."""
        if not (record.input_price or record.output_price):
            return 0.0
        known = self.taken.get(record.name)
        factor = 1.0 if known is None else known.factor.now(1.0, now)
        return factor * expected_cost(record, settings, details)

    def learn(
        self, record: ModelRecord, settings: Settings, details: Any, ms: float, cost: float,
        now: float,
    ) -> None:  # fmt: skip
        """An answer of *record* to a question of *details* took *ms* and *cost*."""
        known = self.taken.setdefault(record.name, Taken())
        known.ms.measure(ms, expected_ms(record, settings), now)
        expected = expected_cost(record, settings, details)
        if expected > 0 and cost > 0:
            known.factor.measure(min(max(cost / expected, FACTORS[0]), FACTORS[1]), 1.0, now)

    def fail(self, name: str) -> None:
        """Endpoint *name* gave no answer."""
        self.taken.setdefault(name, Taken()).failures += 1

    def judge(self, name: str, quality: float, now: float) -> None:
        """Somebody judged an answer of endpoint *name*."""
        self.taken.setdefault(name, Taken()).quality.measure(quality, quality, now)

    def quality(self, name: str) -> float:
        """What an answer of *name* is worth that nobody judged: as those that were."""
        known = self.taken.get(name)
        return known.quality.value if known is not None and known.quality.count else 1.0

    def remember(self, event_type: str, quality: float, now: float) -> None:
        """A local answer to such an event was worth *quality*."""
        if event_type not in self.past and len(self.past) >= MOST_TYPES:
            self.past.pop(next(iter(self.past)))
        self.past.setdefault(event_type, Figure()).measure(quality, quality, now)


MOST_TYPES = 1_000
"""Types of events whose past is remembered."""


def expected_ms(record: ModelRecord, settings: Settings) -> float:
    """What the settings let expect, before anything was measured."""
    return settings.local_ms if record.is_local else settings.cloud_ms


def expected_cost(record: ModelRecord, settings: Settings, details: Any) -> float:
    """What the settings let expect, before anything was measured."""
    asked = int(details.get("characters", 0)) / PER_TOKEN
    most = details.get("max_tokens")
    given = min(settings.answer_tokens, most) if most else settings.answer_tokens
    return (asked * record.input_price + given * record.output_price) / 1_000_000
