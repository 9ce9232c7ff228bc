"""A subscription: one bounded backlog between the bus and one consumer, and its accounts.

Quality of service belongs to the subscription, not to the event:

    realtime     never makes a publisher wait; loses its oldest when full, and says how many
    batched      loses nothing; a publisher waits for room
    background   as batched, with a large backlog

At any moment `offered = delivered + sum(dropped) + expired + queued`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Literal, Protocol, Self

import msgspec

from loom_kernel.accounts import Accounts, SubscriptionStats
from loom_kernel.backlog import Backlog, LatestBacklog
from loom_kernel.causation import current
from loom_kernel.envelope import Envelope

Qos = Literal["realtime", "batched", "background"]
Handler = Callable[[Envelope], Awaitable[object]]

CAPACITY: dict[Qos, int] = {"realtime": 64, "batched": 1024, "background": 4096}
OVERFLOW = ("block", "drop-oldest", "drop-newest", "latest-per-key", "sample:<n>")
BATCH = 256

#: The subscription whose consumer the running code belongs to.
consumer: ContextVar[Subscription | None] = ContextVar("loom_consumer", default=None)


_NOT_ENTERED: Any = object()


class Router(Protocol):
    """What a subscription needs of the bus it belongs to."""

    capacity: dict[Qos, int]
    accounts: Accounts
    now: Callable[[], float]

    def listen(self, subscription: Subscription, pattern: str) -> None:
        """Route *pattern* to *subscription* too."""

    def unlisten(self, subscription: Subscription, pattern: str) -> None:
        """Stop routing *pattern* to *subscription*."""

    def forget(self, subscription: Subscription) -> None:
        """Stop routing anything to *subscription*."""

    def report(self, error: BaseException, subscription: Subscription, envelope: Envelope) -> None:
        """Tell that the handler of *subscription* failed on *envelope*."""


class Subscription:
    """An async iterator over what arrives, and a context manager that ends it.

    One task consumes it. Higher priority comes first, equal priority in the order of publishing.
    While the consumer works on an envelope, what it publishes is caused by that envelope.
    """

    #: Whether the bus may append to `queue`, and a consumer take from it, past the methods.
    is_direct = True

    def __init__(
        self,
        bus: Router,
        patterns: tuple[str, ...],
        *,
        subscriber: str,
        name: str = "",
        qos: Qos = "batched",
        overflow: str = "",
        capacity: int | None = None,
        types: frozenset[str] = frozenset(),
        group: str = "",
        durable: str = "",
        key: Callable[[Envelope], str] | None = None,
    ) -> None:
        _check(qos, overflow, capacity)
        self.patterns = patterns
        self.subscriber = subscriber
        self.name = name or f"{subscriber}:{','.join(patterns)}"
        self.qos = qos
        self.overflow = overflow or ("drop-oldest" if qos == "realtime" else "block")
        self.capacity = bus.capacity[qos] if capacity is None else capacity
        self.types = types
        self.group = group
        self.durable = durable
        self.is_closed = False
        self.offered = self.delivered = self.expired = self.failed = 0
        self.dropped: dict[str, int] = {}
        self.backlog = LatestBacklog(key) if overflow == "latest-per-key" else Backlog()
        self.queue = self.backlog.queue
        self.waiter: asyncio.Future[None] | None = None
        self.is_busy = self.has_handler = False
        #: How many tasks its handler left at work; the drain waits for them too.
        self.beside = 0
        #: Told of each envelope when its handler is done with it, and of the handler's failure.
        self.on_settled: Callable[[Envelope, BaseException | None], None] | None = None
        #: Whether the handler, which goes on beside, calls `settle` itself.
        self.settles_late = False
        self._held: Envelope | None = None
        #: Whether it takes nothing while the bus is under pressure.
        self.is_shed = qos == "realtime"
        self._bus = bus
        self._outer = _NOT_ENTERED
        self._idle: asyncio.Event | None = None
        self._gap = self._sample = 0
        self._credit: deque[tuple[asyncio.Future[bool], Envelope]] = deque()
        if self.overflow.startswith("sample:"):
            self._sample = int(self.overflow[7:])
        #: Below this length the bus may append to `queue` by itself; 0 = always ask `offer`.
        self.fast_limit = 0
        #: Nothing but `queue` is in use, so taking from it is all there is to do.
        self.is_simple = False
        self._simplify()

    # -- what the bus asks -------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many envelopes wait."""
        return len(self.queue) if self.is_simple else len(self.backlog)

    @property
    def needs_credit(self) -> bool:
        """Whether a publisher has to wait for room now, rather than lose something."""
        return self.overflow == "block" and self.queued >= self.capacity

    def wants(self, envelope: Envelope) -> bool:
        """Whether the type filter lets *envelope* through."""
        return not self.types or envelope.type in self.types

    def offer(self, envelope: Envelope) -> bool | None:
        """Take *envelope* by the overflow policy; False = not taken, None = wait for credit."""
        if not self.wants(envelope):
            return False
        self.offered += 1
        if self._sample and (self.offered - 1) % self._sample:
            return self._drop(envelope, "sampled")
        try:
            old = self.backlog.superseded_by(envelope)
        except Exception as error:  # noqa: BLE001  # the subscriber's `key`, not the publisher's fault
            self._bus.report(error, self, envelope)
            return self._drop(envelope, "key")
        if old is not None:
            self._drop(old, "superseded")
        elif self.queued >= self.capacity:
            if self.overflow == "block":
                self.offered -= 1  # it will be when there is room
                return None
            if self.overflow == "drop-newest":
                return self._drop(envelope, "overflow")
            self._drop(self.backlog.evict(), "overflow")
        self._append(envelope)
        return True

    def shed(self, envelope: Envelope) -> bool:
        """Refuse *envelope* because the whole bus is over its threshold."""
        self.offered += 1
        return self._drop(envelope, "backpressure")

    def give_up(self, envelope: Envelope) -> None:
        """Count *envelope* as lost: its publisher waited long enough."""
        self.offered += 1
        self._drop(envelope, "timeout")

    def insist(self, envelope: Envelope) -> bool:
        """Whether it takes *envelope* although its publisher does not wait; if not, it is lost."""
        self.give_up(envelope)
        return False

    def ask_credit(self, envelope: Envelope) -> asyncio.Future[bool]:
        """Queue *envelope* when there is room, in the order of asking: True; False if it closes."""
        granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._credit.append((granted, envelope))
        self._simplify()
        return granted

    def withdraw(self, granted: asyncio.Future[bool]) -> bool:
        """Ask no more; whether there was no answer yet."""
        is_late = granted.cancel() or granted.cancelled()
        if is_late:
            self._credit = deque(asked for asked in self._credit if asked[0] is not granted)
            self._simplify()
        return is_late

    def close(self) -> None:
        """End the subscription: what is queued counts as dropped, the iteration ends."""
        if self.is_closed:
            return
        self.is_closed = True
        self._bus.forget(self)
        while self.queued:
            self._drop(self.backlog.take(), "closed")
        while self._credit:
            granted, _ = self._credit.popleft()
            if not granted.done():
                granted.set_result(False)
        self.wake()

    def add(self, pattern: str) -> None:
        """Receive what is published to *pattern* too."""
        if pattern not in self.patterns:
            self._bus.listen(self, pattern)
            self.patterns += (pattern,)

    def remove(self, pattern: str) -> None:
        """Receive *pattern* no more; what waits is still delivered."""
        if pattern in self.patterns:
            self._bus.unlisten(self, pattern)
            self.patterns = tuple(known for known in self.patterns if known != pattern)

    def wake(self) -> None:
        """Let the consumer look at the backlog."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def stats(self) -> SubscriptionStats:
        """The accounts now."""
        return SubscriptionStats(
            self.name, self.subscriber, self.patterns, self.qos, self.overflow, self.capacity,
            self.group, self.offered, self.delivered, dict(self.dropped), self.expired,
            self.queued, self.failed,
        )  # fmt: skip

    # -- the backlog -------------------------------------------------------------------------

    def _append(self, envelope: Envelope) -> None:
        self.backlog.append(envelope)
        if not self.backlog.is_plain:
            self._simplify()
        self.wake()

    def _drop(self, envelope: Envelope, reason: str) -> bool:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self._bus.accounts.of(envelope.topic).drop(reason)
        self._gap += 1
        self.is_simple = False
        return False

    def take(self) -> Envelope:
        """One envelope from the backlog; a publisher who waits for the room is let in."""
        envelope = self.backlog.take()
        if self._credit:
            self._grant()
        if self._gap:
            envelope = msgspec.structs.replace(envelope, dropped_before=self._gap)
            self._gap = 0
        if not self.is_simple:
            self._simplify()
        return envelope

    def _has_expired(self, envelope: Envelope) -> bool:
        if envelope.expires > self._bus.now():
            return False
        self.expired += 1
        self._gap += envelope.dropped_before
        self.is_simple = self.is_simple and not self._gap
        self._bus.accounts.of(envelope.topic).expired += 1
        self.settle(envelope)
        return True

    def _grant(self) -> None:
        while self._credit and self.queued < self.capacity:
            granted, envelope = self._credit.popleft()
            if not granted.done():
                self.offered += 1
                self._bus.accounts.of(envelope.topic).offered += 1
                self._append(envelope)
                granted.set_result(True)
        self._simplify()

    def _simplify(self) -> None:
        """Return to the fast path if nothing needs the slow one."""
        is_simple = self.backlog.is_plain and not (self._credit or self._gap)
        self.is_simple = self.is_direct and is_simple
        is_plain = self.is_simple and not self.types and not self._sample
        self.fast_limit = self.capacity if is_plain else 0

    # -- the consumer ------------------------------------------------------------------------

    async def serve(self, handler: Handler) -> None:  # noqa: C901  # the hot path
        """Call *handler* with one envelope after the other until the subscription is closed.

        A failure of the handler is reported by the bus and the next envelope is handled. After
        each batch the other tasks get their turn.
        """
        self.has_handler = True
        consumer.set(self)
        queue, take, set_cause = self.queue, self.queue.popleft, current.set
        while True:
            if not queue and not self.queued:
                if self.is_closed:
                    return
                self.waiter = self._new_waiter()
                await self.waiter
            self.is_busy = True
            try:
                for _ in range(BATCH):
                    if queue and self.is_simple:
                        envelope = take()
                    elif self.queued:
                        envelope = self.take()
                    else:
                        break
                    if envelope.expires and self._has_expired(envelope):
                        continue
                    self.delivered += 1
                    set_cause(envelope)
                    failure: BaseException | None = None
                    try:
                        await handler(envelope)
                    except asyncio.CancelledError as error:
                        if _is_cancelled():
                            raise
                        failure = error  # the handler's own, leaked
                    except (Exception, SystemExit) as error:  # noqa: BLE001  # delivery: reported
                        failure = error
                    if failure is not None:
                        self.failed += 1
                        self._bus.report(failure, self, envelope)
                    if self.on_settled is not None and not self.settles_late:
                        self.on_settled(envelope, failure)
                else:
                    await asyncio.sleep(0)
            finally:
                self.is_busy = False
                current.set(None)
                if self._idle is not None:
                    self._idle.set()

    def settle(self, envelope: Envelope, failure: BaseException | None = None) -> None:
        """Tell whoever wants to know that what went on beside is done with *envelope*."""
        if self.on_settled is not None:
            self.on_settled(envelope, failure)

    async def wait_idle(self) -> None:
        """Wait until the handler is done with what it has; at once if it is the one who asks."""
        self._idle = asyncio.Event()
        if self.is_busy and consumer.get() is not self:
            await self._idle.wait()

    async def receive(self) -> Envelope | None:
        """The next envelope, without becoming its handler; None after the end.

        Who asks for the next is done with the one before.
        """
        if self._held is not None:
            held, self._held = self._held, None
            self.settle(held)
        while await self._wait_backlog():
            envelope = self.take()
            if not (envelope.expires and self._has_expired(envelope)):
                self.delivered += 1
                if self.on_settled is not None:
                    self._held = envelope
                return envelope
        return None

    async def receive_many(self, limit: int) -> list[Envelope]:
        """Wait for one, and take up to *limit* that are there; nothing after the end."""
        taken: list[Envelope] = []
        queue, take = self.queue, self.queue.popleft
        while not taken and await self._wait_backlog():
            while len(taken) < limit and (queue or self.queued):
                envelope = take() if self.is_simple else self.take()
                if not (envelope.expires and self._has_expired(envelope)):
                    taken.append(envelope)
        self.delivered += len(taken)
        return taken

    async def _wait_backlog(self) -> bool:
        while not self.queued:
            if self.is_closed:
                return False
            self.waiter = self._new_waiter()
            await self.waiter
        return True

    def _new_waiter(self) -> asyncio.Future[None]:
        if self.waiter is not None and not self.waiter.done():
            raise RuntimeError(f"{self.name!r} already has a consumer")
        return asyncio.get_running_loop().create_future()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        envelope = await self.receive()
        if envelope is None:
            self._leave()
            raise StopAsyncIteration
        if self._outer is _NOT_ENTERED:
            self._outer = current.get()
        current.set(envelope)
        consumer.set(self)
        return envelope

    def _leave(self) -> None:
        """The iterating code handles again what it handled before it began to iterate."""
        if self._outer is not _NOT_ENTERED:
            current.set(self._outer)
            consumer.set(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
        self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        self.close()
        self._leave()


def _is_cancelled() -> bool:
    """Whether somebody asked the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _check(qos: str, overflow: str, capacity: int | None) -> None:
    """Raise ValueError if an option is none that there is."""
    if qos not in CAPACITY:
        raise ValueError(f"qos is {qos!r}, must be one of {', '.join(CAPACITY)}")
    kind, _, rate = overflow.partition(":")
    is_known = overflow in ("", *OVERFLOW[:-1]) or (kind == "sample" and rate.isdecimal())
    if not is_known or rate == "0" or (qos == "realtime" and overflow == "block"):
        raise ValueError(f"overflow is {overflow!r}, must be one of {', '.join(OVERFLOW)}")
    if capacity is not None and capacity < 1:
        raise ValueError(f"capacity is {capacity}, must be at least 1")
