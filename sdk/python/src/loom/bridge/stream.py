"""One end's half of a session: numbers what goes out, keeps it until the other end has seen it.

No I/O happens here. A carrier asks `take` for the next frame and hands in what came with
`accept`; after a cut, `rewind` makes the next frames begin where the other end stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from loom.bridge.errors import ProtocolError

Sent = TypeVar("Sent")
Got = TypeVar("Got")

BATCH = 256
"""Messages that go into one frame at most."""
KEPT = 4096
"""Messages that may wait for the other end to see them; beyond, `is_full`."""
TELL_EVERY = 64
"""How many messages may arrive before the other end is told."""


class Stream(Generic[Sent, Got]):
    """Two numbered sequences of messages; numbers begin with 1."""

    def __init__(self) -> None:
        self._unsent: deque[Sent] = deque()
        self._unseen: deque[Sent] = deque()
        self.put: Callable[[Sent], None] = self._unsent.append
        """Lets a message go with the next frame."""
        self._sent = 0
        self.seen = 0
        """How many of the other end's messages have arrived."""
        self._told = 0

    @property
    def number(self) -> int:
        """The number of the message put last."""
        return self._sent + len(self._unsent)

    @property
    def unsent(self) -> int:
        """How many messages wait to be taken."""
        return len(self._unsent)

    @property
    def is_full(self) -> bool:
        """Whether whoever puts messages should wait for the other end."""
        return len(self._unsent) + len(self._unseen) >= KEPT

    @property
    def owes_news(self) -> bool:
        """Whether a frame is due even if there is nothing else to say."""
        return self.seen - self._told >= TELL_EVERY

    def take(self) -> tuple[int, list[Sent]]:
        """The number of the first message of the next frame, and its messages, maybe none."""
        first = self._sent + 1
        waiting = self._unsent
        if len(waiting) <= BATCH:
            messages = list(waiting)
            waiting.clear()
        else:
            messages = [waiting.popleft() for _ in range(BATCH)]
        self._unseen.extend(messages)
        self._sent += len(messages)
        self._told = self.seen
        return first, messages

    def accept(self, first: int, seen: int, messages: Sequence[Got]) -> Sequence[Got]:
        """Those of *messages* that are new, in order; 0 as *first* means that all are.

        Raises:
            ProtocolError: a message is missing before *first*, or *seen* counts too many.
        """
        self.forget(seen)
        if not messages:
            return messages
        known = self.seen + 1 - (first or self.seen + 1)
        if known < 0:
            raise ProtocolError(
                "INVALID_ARGUMENT", f"message {self.seen + 1} should come next, {first} came"
            )
        fresh = messages[known:] if known else messages
        self.seen += len(fresh)
        return fresh

    def forget(self, seen: int) -> None:
        """Keep no longer what the other end has seen; counts that are old change nothing.

        Raises:
            ProtocolError: so many were never sent.
        """
        if seen > self._sent:
            raise ProtocolError("INVALID_ARGUMENT", f"{seen} seen, only {self._sent} were sent")
        unseen = self._unseen
        for _ in range(seen - self._sent + len(unseen)):
            unseen.popleft()

    def rewind(self, seen: int) -> None:
        """After a cut: take again all that comes after message *seen*.

        Raises:
            ProtocolError: so many were never sent.
        """
        self.forget(seen)
        self._sent -= len(self._unseen)
        self._unsent.extendleft(reversed(self._unseen))
        self._unseen.clear()

    def drain(self) -> list[Sent]:
        """All that the other end has not seen, for a session that starts anew."""
        left = [*self._unseen, *self._unsent]
        self._unseen.clear()
        self._unsent.clear()
        self._sent = 0
        self.seen = self._told = 0
        return left


def ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """*numbers* as runs: the first and last of each.

    >>> ranges([4, 1, 2, 3, 7])
    [(1, 4), (7, 7)]
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs
