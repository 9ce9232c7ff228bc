"""What happened on each topic, in exact numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from loom_kernel.envelope import Envelope

MAX_TOPICS = 10_000
OTHER = "(other)"


class TopicStats(msgspec.Struct, frozen=True):
    """One topic's accounts, exact at the moment of asking; kept when its subscriptions end.

    `offered` counts the copies that subscriptions took or dropped, and is always
    `delivered + sum(dropped) + expired + backlog`.
    """

    topic: str
    published: int
    offered: int
    delivered: int
    dropped: dict[str, int]
    expired: int
    backlog: int
    subscriptions: int


class SubscriptionStats(msgspec.Struct, frozen=True):
    """One subscription's accounts, exact at the moment of asking."""

    name: str
    subscriber: str
    patterns: tuple[str, ...]
    qos: str
    overflow: str
    capacity: int
    group: str
    offered: int
    delivered: int
    dropped: dict[str, int]
    expired: int
    queued: int
    failed: int
    """How many deliveries ended in an exception of the handler (they count as delivered)."""


class TopicCounts:
    """What is counted per topic."""

    __slots__ = ("dropped", "expired", "offered", "published", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.published = self.offered = self.expired = 0
        self.dropped: dict[str, int] = {}

    def drop(self, reason: str) -> None:
        """A subscription lost one envelope."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class Accounts:
    """Counts by topic. *group* says under which name a topic is counted.

    At most 10,000 topics are told apart; what comes later is counted as `(other)`.
    """

    def __init__(self, group: Callable[[str], str]) -> None:
        self._group = group
        self._topics: dict[str, TopicCounts] = {}

    def of(self, topic: str) -> TopicCounts:
        """The counts of *topic*."""
        name = self._group(topic)
        if name not in self._topics and len(self._topics) >= MAX_TOPICS:
            name = OTHER
        return self._topics.setdefault(name, TopicCounts(name))

    def stats(
        self, waiting: Iterable[Envelope], listening: Callable[[str], int]
    ) -> list[TopicStats]:
        """Every topic's accounts, sorted by topic.

        *waiting* is what subscriptions hold, *listening* tells how many a topic has.
        """
        backlogs = Counter(self.of(envelope.topic).topic for envelope in waiting)
        return [
            _stats(self._topics[name], backlogs[name], listening(name))
            for name in sorted(self._topics)
        ]


def _stats(counts: TopicCounts, backlog: int, subscriptions: int) -> TopicStats:
    delivered = counts.offered - sum(counts.dropped.values()) - counts.expired - backlog
    return TopicStats(
        counts.topic, counts.published, counts.offered, delivered, dict(counts.dropped),
        counts.expired, backlog, subscriptions,
    )  # fmt: skip
