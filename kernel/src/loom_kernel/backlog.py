"""What waits in a subscription: by priority, or one envelope a key."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator

from loom_kernel.envelope import NORMAL_PRIORITY, Envelope

Key = Callable[[Envelope], str]


class Backlog:
    """Higher priority comes first, equal priority in the order of arriving.

    Nearly all envelopes have normal priority and wait in `queue`; while `is_plain`, `queue` is
    all there is, and whoever knows that may use it directly.
    """

    def __init__(self) -> None:
        self.queue: deque[Envelope] = deque()
        self.is_plain = True
        self._above: dict[int, deque[Envelope]] = {}
        self._below: dict[int, deque[Envelope]] = {}

    def __len__(self) -> int:
        if self.is_plain:
            return len(self.queue)
        return sum(map(len, self._lanes()))

    def __iter__(self) -> Iterator[Envelope]:
        return itertools.chain(*self._lanes())

    def append(self, envelope: Envelope) -> None:
        """Put *envelope* behind those of its priority."""
        if envelope.priority == NORMAL_PRIORITY:
            self.queue.append(envelope)
            return
        side = self._above if envelope.priority > NORMAL_PRIORITY else self._below
        side.setdefault(envelope.priority, deque()).append(envelope)
        self.is_plain = False

    def take(self) -> Envelope:
        """The oldest of the highest priority."""
        if self.is_plain:
            return self.queue.popleft()
        envelope = next(lane for lane in self._lanes() if lane).popleft()
        if not any(self._above.values()) and not any(self._below.values()):
            self._above, self._below = {}, {}
            self.is_plain = True
        return envelope

    def superseded_by(self, envelope: Envelope) -> Envelope | None:
        """What waits and makes way for *envelope*; here nothing does."""
        return None

    def evict(self) -> Envelope:
        """The oldest of the lowest priority."""
        return next(lane for lane in reversed(self._lanes()) if lane).popleft()

    def _lanes(self) -> list[deque[Envelope]]:
        """All lanes, the highest priority first."""
        above = [self._above[priority] for priority in sorted(self._above, reverse=True)]
        below = [self._below[priority] for priority in sorted(self._below, reverse=True)]
        return [*above, self.queue, *below]


class LatestBacklog(Backlog):
    """Keeps the newest envelope of each key, in the order in which the keys came."""

    def __init__(self, key: Key | None) -> None:
        super().__init__()
        self.is_plain = False
        self._key = key or (lambda envelope: envelope.subject or envelope.topic)
        self._latest: dict[str, Envelope] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def __iter__(self) -> Iterator[Envelope]:
        return iter(self._latest.values())

    def append(self, envelope: Envelope) -> None:
        """Put *envelope* in the place of its key's."""
        self._latest[self._key(envelope)] = envelope

    def superseded_by(self, envelope: Envelope) -> Envelope | None:
        """What *envelope* will replace."""
        return self._latest.get(self._key(envelope))

    def take(self) -> Envelope:
        """The one of the oldest key."""
        return self._latest.pop(next(iter(self._latest)))

    def evict(self) -> Envelope:
        """The same."""
        return self.take()
