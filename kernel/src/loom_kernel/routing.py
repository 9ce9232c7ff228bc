"""What one topic's envelopes pass through: filters, subscriptions, competing consumers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from loom_kernel.accounts import TopicCounts
from loom_kernel.envelope import Envelope
from loom_kernel.subscription import Subscription

Filter = Callable[[Envelope], Envelope]


class Group:
    """Competing consumers: each envelope goes to one member, in turn, skipping full ones."""

    __slots__ = ("_turn", "members")

    def __init__(self, members: list[Subscription]) -> None:
        self.members = members
        self._turn = itertools.cycle(members)

    def pick(self, envelope: Envelope) -> Subscription | None:
        chosen: Subscription | None = None
        for _ in self.members:
            member = next(self._turn)
            if member.wants(envelope):
                if member.queued < member.capacity:
                    return member
                chosen = chosen or member
        return chosen


class Route:
    """What one topic's envelopes pass through."""

    __slots__ = ("counts", "credit", "filters", "groups", "queues", "size", "subscriptions")

    def __init__(
        self, matched: list[Subscription], filters: tuple[Filter, ...], counts: TopicCounts
    ) -> None:
        grouped: dict[str, list[Subscription]] = {}
        for subscription in matched:
            if subscription.group:
                grouped.setdefault(subscription.group, []).append(subscription)
        self.subscriptions = tuple(s for s in matched if not s.group)
        self.queues = tuple((s, s.queue) for s in self.subscriptions)
        self.size = len(self.subscriptions)
        self.groups = tuple(Group(members) for members in grouped.values())
        #: Of each of these, one must have room (or lose something) for a publisher not to wait.
        self.credit = (*((s,) for s in self.subscriptions), *grouped.values())
        self.filters = filters
        self.counts = counts
