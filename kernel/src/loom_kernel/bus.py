"""The event bus: publish, subscribe, request.

Publishing stamps an envelope, runs the filters, and puts it on the backlog of every matching
subscription; it never runs a handler. Subscriptions that must not lose anything and are full are
waited for after all others have been served, so a slow one delays its publishers and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Unpack

import msgspec

from loom_kernel.accounts import Accounts, SubscriptionStats, TopicStats
from loom_kernel.causation import current, detached, inherit
from loom_kernel.clock import Clock
from loom_kernel.envelope import (
    NORMAL_PRIORITY,
    Envelope,
    EnvelopeFields,
    checked_fields,
    numbers,
    uuid7,
)
from loom_kernel.errors import (
    BackpressureTimeout,
    BusClosed,
    NoResponders,
    PayloadTooLarge,
    RequestTimeout,
)
from loom_kernel.exchange import Identity, SubscribeOptions
from loom_kernel.routing import Filter, Route
from loom_kernel.subscription import (
    CAPACITY,
    Qos,
    Subscription,
    consumer,
)
from loom_kernel.topics import TopicMap, check_pattern, matches

log = logging.getLogger("loom.bus")

INBOX = "$inbox."
MAX_PAYLOAD = 1 << 20
_SIZED = frozenset({bytes, str})
kind = type  # `publish` has a parameter of that name
get_cause = current.get  # bound once: looking it up costs as much as calling it


class Bus:
    """Routes envelopes in one process.

    *capacity* is the default backlog by quality of service. Above *threshold* envelopes queued
    on the whole bus, realtime subscriptions take nothing new. *credit_timeout* (seconds) bounds
    how long a publisher waits for a subscription that is full.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        node: str = "local",
        capacity: dict[Qos, int] | None = None,
        threshold: int = 10_000,
        credit_timeout: float = 30.0,
        max_payload: int = MAX_PAYLOAD,
    ) -> None:
        self.node = node
        self.capacity: dict[Qos, int] = {**CAPACITY, **(capacity or {})}
        self.now = clock.time
        self._threshold = threshold
        self._credit_timeout = credit_timeout
        self._max_payload = max_payload
        self._is_pressed = False
        self._headroom = threshold
        self._numbers = numbers()
        self._routes: TopicMap[Subscription, Route] = TopicMap(self._route)
        self._filters: list[tuple[int, tuple[str, ...], Filter]] = []
        self.accounts = Accounts(lambda topic: INBOX + ">" if topic.startswith(INBOX) else topic)
        self._subscriptions: dict[Subscription, None] = {}
        self.make_durable: Callable[..., Subscription] = Subscription
        self._blocked: list[tuple[Subscription, Route, Envelope]] = []
        self._refuses_roots = False
        self._is_closed = False
        self._cause: Envelope | None = None
        self._inherited: dict[str, Any] = {}

    # -- publishing --------------------------------------------------------------------------

    async def publish(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """Offer an event to every matching subscription; return how many took it.

        Waits only for subscriptions that lose nothing and are full, after the others have been
        served. What is published while an envelope is handled is caused by that envelope.

        Raises:
            InvalidTopic, InvalidEnvelope: nothing was published; the message says what to mend.
            HopLimitExceeded: the chain of causes is too long.
            BackpressureTimeout: a full subscription took it not in time; the others did.
            BusClosed: the runtime is stopping.
        """
        taken = self._offer(self._routes[topic], identity, topic, data, type, fields)
        if self._blocked:
            blocked, self._blocked = self._blocked, []
            taken += await self._wait_for(blocked)
        return taken

    def publish_nowait(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """As `publish`, without waiting.

        Raises:
            BackpressureTimeout: a subscription that loses nothing is full; nobody got the event.
        """
        route = self._routes[topic]
        for one_of in route.credit:
            if len(one_of[0].queue) < one_of[0].fast_limit:
                continue
            wanting = [one for one in one_of if not one.types or (type or topic) in one.types]
            if wanting and all(one.needs_credit for one in wanting):
                raise BackpressureTimeout(topic, wanting[0].name, 0.0)
        taken = self._offer(route, identity, topic, data, type, fields)
        if self._blocked:  # a filter made another event of it, or it will be taken all the same
            blocked, self._blocked = self._blocked, []
            full = [s for s, _, envelope in blocked if not s.insist(envelope)]
            route.counts.offered += len(full)
            if full:
                raise BackpressureTimeout(topic, full[0].name, 0.0)
        return taken

    def _offer(  # noqa: C901  # the hot path: a call more would cost more than it explains
        self, route: Route, identity: Identity, topic: str, data: Any, type: str,
        fields: EnvelopeFields,
    ) -> int:  # fmt: skip
        """Stamp an envelope and deliver it; whom a publisher must wait for is in `_blocked`."""
        if fields or self._refuses_roots or get_cause() is not None:
            envelope = self._derive(identity, topic, data, type, fields)
        else:
            now = self.now
            envelope = Envelope(
                type or topic, identity.source, now(), topic, data, identity.name,
                next(self._numbers),
            )  # fmt: skip
        if kind(data) in _SIZED and len(data) > self._max_payload:
            raise PayloadTooLarge(topic, len(data), self._max_payload)
        if route.filters:
            for passed in route.filters:
                envelope = passed(envelope)
        slow = route.subscriptions
        taken = 0
        if envelope.priority == NORMAL_PRIORITY and not self._is_pressed:
            slow = ()
            taken = route.size
            for subscription, queue in route.queues:
                if len(queue) < subscription.fast_limit:
                    queue.append(envelope)
                    subscription.offered += 1
                    if subscription.waiter is not None:
                        subscription.wake()
                else:
                    slow += (subscription,)
                    taken -= 1
        counts = route.counts
        counts.published += 1
        counts.offered += taken
        self._headroom -= taken
        if self._headroom <= 0:
            self._measure_pressure()
        if slow or route.groups:
            taken += self._deliver_slowly(slow, route, envelope)
        return taken

    def _derive(
        self, identity: Identity, topic: str, data: Any, type: str, fields: EnvelopeFields
    ) -> Envelope:
        cause = current.get()
        if self._refuses_roots and (cause is None or self._is_closed):
            raise BusClosed(topic)
        if fields or cause is not self._cause:
            known = checked_fields(topic, fields)
            if cause is not None:
                inherit(topic, cause, known)
            for name in ("thread_id", "correlation_id", "reply_to"):
                if name in known:
                    known["_" + name] = known.pop(name)
            if not fields:
                self._cause, self._inherited = cause, known
        else:
            known = self._inherited  # the same for all that one event causes
        return Envelope(
            type or topic, identity.source, self.now(), topic, data, identity.name,
            next(self._numbers), **known,
        )  # fmt: skip

    def _deliver_slowly(
        self, subscriptions: tuple[Subscription, ...], route: Route, envelope: Envelope
    ) -> int:
        """Deliver where more than an append is to be decided."""
        members = tuple(filter(None, (group.pick(envelope) for group in route.groups)))
        if self._is_pressed:
            self._measure_pressure()
        taken = 0
        for subscription in subscriptions + members:
            before = subscription.offered
            if self._is_pressed and subscription.is_shed:
                took: bool | None = subscription.wants(envelope) and subscription.shed(envelope)
            else:
                took = subscription.offer(envelope)
            route.counts.offered += subscription.offered - before
            if took is None:
                self._blocked.append((subscription, route, envelope))
            else:
                taken += took
        self._headroom -= taken
        return taken

    def _measure_pressure(self) -> None:
        """Count what is queued; counting every delivery would cost more than it tells."""
        queued = self.queued
        self._is_pressed = queued >= self._threshold
        self._headroom = max(self._threshold - queued, 1 + self._threshold // 128)

    async def _wait_for(self, blocked: list[tuple[Subscription, Route, Envelope]]) -> int:
        """Queue the envelope in each of *blocked* as it gets room; complain of who got none."""
        own = consumer.get()  # it would wait for itself: no time is enough
        _, route, envelope = blocked[0]
        asked = {full: full.ask_credit(envelope) for full, _, _ in blocked if full is not own}
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._credit_timeout):
                    for granted in asked.values():
                        await granted
        finally:
            late = [full for full, _, _ in blocked if full is own or full.withdraw(asked[full])]
        for full in late:
            route.counts.offered += 1
            full.give_up(envelope)
        if late:
            patience = 0.0 if late[0] is own else self._credit_timeout
            raise BackpressureTimeout(envelope.topic, late[0].name, patience)
        return sum(granted.result() for granted in asked.values())

    # -- subscribing -------------------------------------------------------------------------

    def subscribe(
        self, subscriber: str, patterns: Iterable[str], **options: Unpack[SubscribeOptions]
    ) -> Subscription:
        """Receive what is published to *patterns* from now on; overlapping ones give one copy.

        *qos* and *overflow* (`block`, `drop-oldest`, `drop-newest`, `latest-per-key`,
        `sample:<n>`) say what happens when *capacity* is reached; *types* lets only these event
        types through; members of one *group* share the events; *key* tells `latest-per-key`
        what an envelope is about (its subject, else its topic). If a plugin keeps events, what was
        not handled is delivered again under the name *durable*, also after a restart.

        Raises:
            InvalidTopic: a pattern does not follow the grammar.
            ValueError: an option is not one of those above.
        """
        wanted = tuple(dict.fromkeys(check_pattern(pattern) for pattern in patterns))
        if not wanted:
            raise ValueError("subscribe to at least one pattern")
        known: dict[str, Any] = {**options, "types": frozenset(options.get("types", ()))}
        make = self.make_durable if known.get("durable") else Subscription
        return self.add(make(self, wanted, subscriber=subscriber, **known))

    def add(self, subscription: Subscription) -> Subscription:
        """Route to *subscription* what its patterns match."""
        for pattern in subscription.patterns:
            self._routes.add(pattern, subscription)
        self._subscriptions[subscription] = None
        return subscription

    def listen(self, subscription: Subscription, pattern: str) -> None:
        """Route *pattern* to *subscription* too."""
        self._routes.add(pattern, subscription)

    def unlisten(self, subscription: Subscription, pattern: str) -> None:
        """Stop routing *pattern* to *subscription*."""
        self._routes.remove(pattern, subscription)

    def forget(self, subscription: Subscription) -> None:
        """Stop routing to *subscription* (called by its `close`)."""
        self._subscriptions.pop(subscription, None)
        for pattern in subscription.patterns:
            self._routes.remove(pattern, subscription)

    def add_filter(
        self, passed: Filter, patterns: Iterable[str] = (">",), *, order: int = 0
    ) -> Callable[[], None]:
        """Let *passed* see, replace or refuse (by raising) what is published to *patterns*.

        Filters run in ascending *order* before delivery, on topics they match; the others pay
        nothing for them. Returns what removes the filter.
        """
        entry = (order, tuple(check_pattern(pattern) for pattern in patterns), passed)
        self._filters.append(entry)
        self._filters.sort(key=lambda known: known[0])
        self._routes.clear()

        def remove() -> None:
            self._filters.remove(entry)
            self._routes.clear()

        return remove

    def _route(self, topic: str, matched: list[Subscription]) -> Route:
        filters = tuple(
            passed
            for _, patterns, passed in self._filters
            if any(matches(pattern, topic) for pattern in patterns)
        )
        return Route(matched, filters, self.accounts.of(topic))

    # -- request and reply -------------------------------------------------------------------

    def new_inbox(self) -> str:
        """A topic that nobody else knows, for replies."""
        return INBOX + uuid7(self.now(), next(self._numbers))

    async def request(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        *,
        timeout: float = 5.0,
        **fields: Unpack[EnvelopeFields],
    ) -> Envelope:
        """Publish and wait for the first reply (*timeout* in seconds).

        Works inside a handler: the reply comes to a private inbox that exists for this call
        only. What the handler publishes later carries the reply's labels too.

        Raises:
            NoResponders: nobody took the request.
            RequestTimeout: it was taken and not answered; `$loom.request.timed_out` tells others.
        """
        inbox = self.new_inbox()
        fields["reply_to"] = inbox
        fields.setdefault("expires", self.now() + timeout)
        options: SubscribeOptions = {"qos": "realtime", "overflow": "drop-newest", "capacity": 1}
        with self.subscribe(identity.name, [inbox], **options) as replies:
            replies.is_shed = False  # one reply is no load, and a lost one no relief
            try:
                async with asyncio.timeout(timeout):
                    if not await self.publish(identity, topic, data, type, **fields):
                        raise NoResponders(topic)
                    reply = await replies.receive()
            except TimeoutError:
                late = {"topic": topic, "timeout": timeout, "sender": identity.name}
                self.publish_nowait(RUNTIME, "$loom.request.timed_out", late)
                raise RequestTimeout(topic, timeout, inbox) from None
        if reply is None:
            raise BusClosed(topic)
        cause = current.get()
        if cause is not None and not reply.labels <= cause.labels:
            joined = cause.labels | reply.labels
            current.set(msgspec.structs.replace(cause, labels=joined))
        return reply

    # -- accounts ----------------------------------------------------------------------------

    def subscriptions(self) -> list[SubscriptionStats]:
        """The accounts of every open subscription, in the order of subscribing."""
        return [subscription.stats() for subscription in self._subscriptions]

    def topics(self) -> list[TopicStats]:
        """The accounts of every topic that was published to, sorted by topic."""
        waiting = (envelope for s in self._subscriptions for envelope in s.backlog)
        return self.accounts.stats(waiting, lambda topic: len(self._routes.match(topic)))

    @property
    def queued(self) -> int:
        """How many envelopes wait on all subscriptions together."""
        return sum(subscription.queued for subscription in self._subscriptions)

    def report(self, error: BaseException, subscription: Subscription, envelope: Envelope) -> None:
        """Tell the log and `$loom.error` that a handler failed; its next event is handled."""
        log.error(
            "%s failed on %s (%s)", subscription.name, envelope.topic, envelope.id, exc_info=error
        )
        if not envelope.topic.startswith("$loom.error"):
            self.publish_error(
                "ACTION_ERROR", subscription.subscriber, error,
                topic=envelope.topic, event=envelope.id, subscription=subscription.name,
            )  # fmt: skip

    def publish_error(
        self, code: str, source: str, error: BaseException, /, **details: str
    ) -> None:
        """One event on `$loom.error`: what failed, to whom, and the details that place it."""
        message = {"code": code, "source": source, "error": type(error).__name__}
        try:
            with detached():
                self.publish_nowait(
                    RUNTIME, "$loom.error", {**message, "message": str(error), **details}
                )
        except Exception as late:  # noqa: BLE001  # a filter may refuse it; telling never fails
            log.warning("an error of %s was only logged: %s", source, late)

    # -- the end -----------------------------------------------------------------------------

    def busy(self) -> list[str]:
        """The subscriptions whose handler runs or has something left to handle."""
        return [
            s.name
            for s in self._subscriptions
            if s.is_busy or s.beside or (s.queued and s.has_handler)
        ]

    @contextmanager
    def roots_refused(self) -> Iterator[None]:
        """Inside, take only what handlers publish while they finish (the runtime is draining)."""
        self._refuses_roots = True
        try:
            yield
        finally:
            self._refuses_roots = self._is_closed

    def close(self) -> None:
        """Take nothing more and end every subscription."""
        self._refuses_roots = self._is_closed = True
        for subscription in list(self._subscriptions):
            subscription.close()


RUNTIME = Identity("$loom", "loom://kernel")
