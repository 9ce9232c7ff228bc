"""A durable consumer: where it is in the log, what it has in hand, and what it tries again.

It exists whether or not somebody consumes under its name. Each event that matches its patterns
ends in exactly one way: done with, given up (a dead letter), or expired.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Protocol

from loom.contracts import Reject, Retry
from loom_kernel import Envelope, matches

from loom_plugin_journal.flight import Flight, Key, Letter, Progress, Tries
from loom_plugin_journal.records import Record, body_of

if TYPE_CHECKING:
    from loom_plugin_journal.subscription import DurableSubscription

BACKOFF = (1.0, 5.0, 30.0, 120.0)
"""Seconds before a delivery that failed is tried again, ± 20 %."""
SPREAD = 0.2
DELAYED = 4096
"""Events that may wait for another try; then nothing new is read."""


class Line(Protocol):
    """What a consumer needs of its journal."""

    random: Random
    most_failures: int
    most_crashes: int

    @property
    def last(self) -> int:
        """The newest record."""

    def now(self) -> float:
        """UNIX seconds."""

    def occupy(self, consumer: Consumer, flight: Flight, *, is_ours: bool) -> None:
        """Its handler begins; it *is_ours* if it runs in this process."""

    def release(self, consumer: Consumer, flight: Flight) -> None:
        """Its handler has ended."""

    def tell(self, consumer: Consumer, flight: Flight, failure: BaseException | None) -> None:
        """How its handling went."""

    def conclude(self, consumer: Consumer, flight: Flight) -> None:
        """It is done with: what its handler wants kept becomes true with it."""

    def bury(self, letter: Letter) -> None:
        """Keep *letter*, and tell of it."""

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Call *act* then."""

    def changed(self, consumer: Consumer) -> None:
        """Its progress is to be written with the next commit."""

    def lags(self, consumer: Consumer) -> None:
        """It has to be given what it did not get directly."""


class Consumer:
    """See above. *window* events at most are in its hands."""

    def __init__(self, line: Line, name: str, progress: Progress, window: int) -> None:
        self.name = name
        self.number = progress.number
        self.patterns = progress.patterns
        self.types = frozenset(progress.types)
        self.window = window
        self.next = progress.next
        """The first record that it has not been offered."""
        self.left: dict[int, None] = dict.fromkeys(progress.left)
        """Those before it that are not done with, in order."""
        self.unread = deque(progress.left)
        """Those of them that are to be read from the log before anything else."""
        self.tries = dict(progress.tries)
        self.flights: dict[str, Flight] = {}
        """What is in its hands, by event id."""
        self.seen = progress.seen
        self.is_behind = True
        self.is_ending = False
        self.outlets: list[DurableSubscription] = []
        self.wants_flush = False
        """Whether what it is given must have survived a power cut before."""
        self.settled = self.expired = self.buried = 0
        self._line = line
        self._behind: dict[Key, deque[Flight]] = {}
        """What waits for an earlier one of its key: that is tried again, or far away."""
        self._delayed = 0
        self._matches: dict[str, bool] = {}

    def progress(self) -> Progress:
        """How far it is, to be kept."""
        return Progress(
            self.number, self.patterns, self.next, list(self.left), self.tries, self.seen,
            tuple(sorted(self.types)),
        )  # fmt: skip

    @property
    def floor(self) -> int:
        """The oldest record that it may still need."""
        return min(self.left, default=self.next)

    @property
    def has_room(self) -> bool:
        """Whether it may be given more."""
        if self.is_ending or not self.outlets:
            return False
        in_hand = len(self.flights) - self._delayed
        return in_hand < self.window and self._delayed < DELAYED

    def wants(self, topic: str) -> bool:
        """Whether events on *topic* are for it."""
        known = self._matches.get(topic)
        if known is None:
            if len(self._matches) > DELAYED:
                self._matches.clear()
            known = any(matches(pattern, topic) for pattern in self.patterns)
            self._matches[topic] = known
        return known

    def has(self, envelope: Envelope) -> bool:
        """Whether *envelope* came from the log, and is in its hands."""
        return envelope.id in self.flights

    def listen(self, patterns: Iterable[str]) -> None:
        """Consume these *patterns* from now on."""
        self.patterns = tuple(patterns)
        self._matches.clear()
        self._line.changed(self)

    # -- in ----------------------------------------------------------------------------------

    def offer(self, sequence: int, envelope: Envelope) -> None:
        """A record that was just written; if it cannot take it, it reads it later."""
        if self.is_behind or not self.has_room:
            self.is_behind = True
            return
        self.next = sequence + 1
        self.admit(sequence, envelope)

    def admit(self, sequence: int, envelope: Envelope) -> None:
        """Take a record into its hands."""
        if self.types and envelope.type not in self.types:
            self.left.pop(sequence, None)
            return
        self.left[sequence] = None
        flight = Flight(sequence, envelope, self.tries.get(sequence) or Tries())
        self.flights[envelope.id] = flight
        if self._is_poisoned(flight):
            self._give_up(flight, "its handler's process ended each time", "")
        elif self._behind and (waiting := self._behind.get(flight.key)) is not None:
            flight.state = "held"
            waiting.append(flight)
        else:
            if self._goes_far:
                self._behind[flight.key] = deque()
            self._pass_on(flight)

    @property
    def _goes_far(self) -> bool:
        """Whether what is passed on cannot be taken back when one before it fails.

        Then the next of its key follows when it is done with.
        """
        return not all(outlet.is_ours for outlet in self.outlets)

    def read(self, record: Record) -> None:
        """Take a record that was read from the log, if it is for it."""
        if record.sequence >= self.next:
            self.next = record.sequence + 1
        if record.sequence in self.left or self.wants(record.topic):
            self.admit(record.sequence, record.envelope())

    def again(self, sequence: int) -> None:
        """Take back a record that it had given up."""
        self.tries.pop(sequence, None)
        self.left[sequence] = None
        self.unread.append(sequence)
        self._line.changed(self)
        self._line.lags(self)

    def _pass_on(self, flight: Flight) -> None:
        flight.state = "waiting"
        if not self.outlets:
            return
        outlets = self.outlets
        outlet = outlets[0] if len(outlets) == 1 else min(outlets, key=lambda one: one.queued)
        outlet.feed(flight.envelope)

    # -- out ---------------------------------------------------------------------------------

    def begin(self, envelope: Envelope, *, is_ours: bool) -> None:
        """A handler is given *envelope*.

        If it *is_ours*, in this process, that is written down before it can do harm.
        """
        flight = self.flights.get(envelope.id)
        if flight is not None and flight.state == "waiting":
            flight.state = "handled"
            flight.steps.clear()
            flight.keeps.clear()
            self._line.occupy(self, flight, is_ours=is_ours)

    def begin_anew(self, envelope: Envelope) -> None:
        """The process that handled *envelope* is gone, and another one handles it."""
        flight = self.flights.get(envelope.id)
        if flight is not None and flight.state == "handled":
            self._line.release(self, flight)
            flight.state = "waiting"
            self.begin(envelope, is_ours=False)

    def settle(self, envelope: Envelope, failure: BaseException | None) -> None:
        """A handler is done with *envelope*, or has failed."""
        flight = self.flights.get(envelope.id)
        if flight is None or flight.state not in ("waiting", "handled"):
            return
        self._line.release(self, flight)
        self._line.tell(self, flight, failure)
        if failure is None:
            self._end(flight)
            self.settled += 1
        elif isinstance(failure, Reject):
            self._give_up(flight, str(failure) or "it was rejected", type(failure).__name__)
        else:
            self._fail(flight, failure)

    def expire(self, envelope: Envelope) -> None:
        """*envelope* need not be delivered any more."""
        flight = self.flights.get(envelope.id)
        if flight is not None:
            self._end(flight)
            self.expired += 1

    def _end(self, flight: Flight) -> None:
        self._line.conclude(self, flight)
        self.left.pop(flight.sequence, None)
        self.tries.pop(flight.sequence, None)
        del self.flights[flight.envelope.id]
        self._line.changed(self)
        if self._behind:
            self._unblock(flight.key)
        if self.is_behind:
            self._line.lags(self)

    def _fail(self, flight: Flight, failure: BaseException) -> None:
        flight.tries.failures += 1
        self.tries[flight.sequence] = flight.tries
        self._line.changed(self)
        if flight.tries.failures >= self._line.most_failures:
            self._give_up(flight, str(failure)[:500], type(failure).__name__)
            return
        seconds = failure.delay if isinstance(failure, Retry) and failure.delay >= 0 else None
        if seconds is None:
            base = BACKOFF[min(flight.tries.failures, len(BACKOFF)) - 1]
            seconds = base * self._line.random.uniform(1 - SPREAD, 1 + SPREAD)
        flight.state = "delayed"
        self._delayed += 1
        behind = self._behind.setdefault(flight.key, deque())
        for outlet in self.outlets:
            for id in outlet.hold(flight.key):
                self.flights[id].state = "held"
                behind.append(self.flights[id])
        self._line.later(seconds, lambda: self._try_again(flight))

    def _try_again(self, flight: Flight) -> None:
        if self.flights.get(flight.envelope.id) is flight and flight.state == "delayed":
            self._delayed -= 1
            self._pass_on(flight)

    def _unblock(self, key: Key) -> None:
        """Let through what waited for one of *key*."""
        waiting = self._behind.pop(key, None)
        while waiting:
            self._pass_on(waiting.popleft())
            if self._goes_far:
                self._behind[key] = waiting
                return

    def _is_poisoned(self, flight: Flight) -> bool:
        return flight.tries.crashes >= self._line.most_crashes

    def _give_up(self, flight: Flight, reason: str, error: str) -> None:
        self.buried += 1
        tries, event = flight.tries, body_of(flight.envelope)
        letter = Letter(
            self.name, flight.sequence, self._line.now(), reason, error, tries.failures,
            tries.crashes, event,
        )  # fmt: skip
        self._line.bury(letter)
        flight.keeps.clear()
        self._end(flight)

    # -- who consumes ------------------------------------------------------------------------

    def attach(self, outlet: DurableSubscription) -> None:
        """Let *outlet* have what there is for this name."""
        self.outlets.append(outlet)
        self._measure_flush()
        self.seen = self._line.now()
        self._line.changed(self)
        self._line.lags(self)

    def detach(self, outlet: DurableSubscription) -> None:
        """*outlet* is gone; what it had in hand is read again for the next one."""
        if self.outlets == [outlet]:
            for flight in self.flights.values():
                self._line.release(self, flight)
        self.outlets.remove(outlet)
        self._measure_flush()
        self.seen = self._line.now()
        if not self.outlets:
            self.flights.clear()
            self._behind.clear()
            self._delayed = 0
            self.unread = deque(self.left)
            self.is_behind = True
        self._line.changed(self)

    def _measure_flush(self) -> None:
        self.wants_flush = any(outlet.qos != "background" for outlet in self.outlets)

    def crashed(self, sequence: int) -> None:
        """The process that handled *sequence* ended amid it."""
        if sequence in self.left or sequence >= self.next:
            self.tries.setdefault(sequence, Tries()).crashes += 1
