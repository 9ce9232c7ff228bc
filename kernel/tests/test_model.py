"""R9: the bus against a model made of lists.

Hypothesis publishes, subscribes, consumes, lets time pass and unsubscribes in any order. What is
delivered must be what the model says, and after every step the accounts must be the model's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from loom_kernel import (
    BackpressureTimeout,
    Envelope,
    Paths,
    Runtime,
    Subscription,
    TopicStats,
    load_config,
    matches,
)
from loom_kernel.testing import VirtualClock, VirtualLoop

T = TypeVar("T")
Event = tuple[int, str, int, float]  # number, topic, priority, the moment it expires (0 = never)

TOPICS = ["a", "a.b", "a.c", "b.c"]
PATTERNS = [*TOPICS, "a.*", "*.c", "a.>", ">"]
POLICIES = ["block", "block", "drop-oldest", "drop-newest", "latest-per-key", "sample:3"]
NOWHERE = Path("/nonexistent")


class Model:
    """What one subscription should hold and have counted."""

    def __init__(self, patterns: list[str], overflow: str, capacity: int, kind: str) -> None:
        self.patterns, self.overflow, self.capacity, self.kind = patterns, overflow, capacity, kind
        self.queue: list[Event] = []
        self.waiting: list[Event] = []
        self.offered = self.delivered = self.expired = self.gap = 0
        self.dropped: Counter[str] = Counter()

    def wants(self, topic: str, kind: str) -> bool:
        return self.kind in ("", kind) and any(matches(known, topic) for known in self.patterns)

    def must_wait(self) -> bool:
        return self.overflow == "block" and len(self.queue) >= self.capacity

    def drop(self, reason: str) -> bool:
        self.dropped[reason] += 1
        self.gap += 1
        return False

    def offer(self, event: Event) -> bool:
        if self.must_wait():
            self.waiting.append(event)
            return True
        self.offered += 1
        if self.overflow == "sample:3" and (self.offered - 1) % 3:
            return self.drop("sampled")
        same = [old for old in self.queue if old[1] == event[1]]
        if self.overflow == "latest-per-key" and same:
            self.drop("superseded")
            self.queue[self.queue.index(same[0])] = event
            return True
        if len(self.queue) >= self.capacity:
            self.drop("overflow")
            if self.overflow == "drop-newest":
                return False
            is_ranked = self.overflow != "latest-per-key"
            self.queue.remove(min(self.queue, key=lambda old: old[2] if is_ranked else 0))
        self.queue.append(event)
        return True

    def take(self, now: float) -> tuple[int, int] | None:
        """The number that comes next, and how many were lost before it."""
        while self.queue:
            is_ranked = self.overflow != "latest-per-key"
            event = max(self.queue, key=lambda old: old[2] if is_ranked else 0)
            self.queue.remove(event)
            if self.waiting:
                self.offer(self.waiting.pop(0))
            if event[3] and event[3] <= now:
                self.expired += 1
                continue
            self.delivered += 1
            gap, self.gap = self.gap, 0
            return event[0], gap
        return None


class BusMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.runtime = self.run(self.make())
        self.host = self.runtime.host("model")
        self.pairs: list[tuple[Subscription, Model]] = []
        self.published: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.number = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def make(self) -> Runtime:
        paths = Paths(config=NOWHERE, state=NOWHERE, cache=NOWHERE)
        patient = load_config(paths, overrides=["bus.credit_timeout=1e6"], environ={})
        return Runtime(paths, patient, clock=VirtualClock(), entries={})

    def teardown(self) -> None:
        self.run(self.host.aclose())
        self.loop.close()

    @precondition(lambda self: len(self.pairs) < 5)
    @rule(
        patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3, unique=True),
        overflow=st.sampled_from(POLICIES),
        capacity=st.integers(1, 4),
        kind=st.sampled_from(["", "", "red"]),
    )
    def subscribe(self, patterns: list[str], overflow: str, capacity: int, kind: str) -> None:
        types = [kind] if kind else []
        real = self.host.subscribe(*patterns, overflow=overflow, capacity=capacity, types=types)
        self.pairs.append((real, Model(patterns, overflow, capacity, kind)))

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        real, model = self.pairs.pop(data.draw(st.integers(0, len(self.pairs) - 1)))

        async def close() -> None:
            real.close()

        self.run(close())
        assert real.stats().dropped.get("closed", 0) == len(model.queue)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), pattern=st.sampled_from(PATTERNS))
    def change_patterns(self, data: st.DataObject, pattern: str) -> None:
        real, model = data.draw(st.sampled_from(self.pairs))
        if pattern in model.patterns:
            real.remove(pattern)
            model.patterns = [known for known in model.patterns if known != pattern]
        else:
            real.add(pattern)
            model.patterns = [*model.patterns, pattern]

    @rule(
        topic=st.sampled_from(TOPICS),
        kind=st.sampled_from(["red", "blue"]),
        priority=st.sampled_from([50, 50, 50, 10, 20, 80, 90]),
        life=st.sampled_from([0, 5]),
        waits=st.booleans(),
        count=st.integers(1, 3),
    )
    def publish(
        self, topic: str, kind: str, priority: int, life: int, waits: bool, count: int
    ) -> None:
        for _ in range(count):
            self.number += 1
            self.run(self.publish_one(topic, kind, priority, life, waits=waits))

    async def publish_one(
        self, topic: str, kind: str, priority: int, life: int, *, waits: bool
    ) -> None:
        takers = [model for _, model in self.pairs if model.wants(topic, kind)]
        expires = self.host.clock.time() + life if life else 0.0
        event = (self.number, topic, priority, expires)
        full = any(model.must_wait() for model in takers)
        if full and not waits:
            with pytest.raises(BackpressureTimeout):
                self.host.publish_nowait(topic, event[0], kind)
            return
        self.published[topic] += 1
        taken = sum([model.offer(event) for model in takers])
        publishing = self.host.publish(topic, event[0], kind, priority=priority, expires=expires)
        if full:
            self.host.spawn(publishing, "waits")
            await asyncio.sleep(0)
        else:
            assert await publishing == taken

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), count=st.integers(1, 4))
    def consume(self, data: st.DataObject, count: int) -> None:
        real, model = data.draw(st.sampled_from(self.pairs))
        for _ in range(count):
            self.run(self.consume_one(real, model))

    async def consume_one(self, real: Subscription, model: Model) -> None:
        expected = model.take(self.host.clock.time())
        received: Envelope | None = None
        try:
            async with asyncio.timeout(0):
                received = await real.receive()
        except TimeoutError:
            assert expected is None
        if received is not None:
            self.received[received.topic] += 1
            assert (received.data, received.dropped_before) == expected
        await asyncio.sleep(0)

    @rule(seconds=st.sampled_from([1, 4, 5, 5, 6]))
    def pass_time(self, seconds: int) -> None:
        self.loop.advance(seconds)

    @invariant()
    def accounts_agree(self) -> None:
        for real, model in self.pairs:
            stats = real.stats()
            lost = sum(stats.dropped.values())
            assert stats.offered == stats.delivered + lost + stats.expired + stats.queued
            assert stats.dropped == model.dropped
            assert (stats.offered, stats.delivered) == (model.offered, model.delivered)
            assert (stats.expired, stats.queued) == (model.expired, len(model.queue))

    @invariant()
    def topics_agree(self) -> None:
        found: dict[str, TopicStats] = {known.topic: known for known in self.runtime.bus.topics()}
        for topic, count in self.published.items():
            assert found[topic].published == count
            assert found[topic].delivered == self.received[topic]


TestBus = pytest.mark.reliability("R9")(
    pytest.mark.feature("BUS-08")(pytest.mark.feature("BUS-11")(BusMachine.TestCase))
)
TestBus.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
