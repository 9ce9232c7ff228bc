"""A bus at the other end of a bridge: what a `Host` needs of one, said to a server."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, NoReturn, Unpack

import msgspec
from loom_kernel import (
    Accounts,
    BackpressureTimeout,
    Clock,
    Encoded,
    Envelope,
    EnvelopeFields,
    HopLimitExceeded,
    Identity,
    LoomError,
    NoResponders,
    PayloadTooLarge,
    Qos,
    RequestTimeout,
    SubscribeOptions,
    Subscription,
    check_pattern,
    check_topic,
    checked_fields,
    current,
    encode_json,
)
from msgspec import UNSET

from loom.bridge.client import Client
from loom.bridge.codec import LONGEST_REASON
from loom.bridge.deliveries import Deliveries
from loom.bridge.messages import (
    Call,
    ClientMessage,
    Deliver,
    Fields,
    Offer,
    Publish,
    Report,
    Settle,
    Subscribe,
    Unsubscribe,
)
from loom.contracts import Reject, Retry, ToolCall, ToolDescriptor, ToolResult

log = logging.getLogger("loom.bridge")

WINDOW = 1024
CHECKED = 4096
"""Topics whose spelling is remembered as right."""
get_cause = current.get
kind = type  # `publish` has a parameter of that name


class RemoteBus:
    """Publishes, subscribes and asks through *client*.

    Unlike the bus in process, publishing does not wait for the other end: the count of those who
    took an event is not known, and is given as -1. What the server refuses is logged there and
    here. The subscription named `agent:<id>` is the agent's mailbox.
    """

    def __init__(self, client: Client, clock: Clock) -> None:
        self.node = str(client.address)
        self.now = clock.time
        self.capacity: dict[Qos, int] = {"realtime": 64, "batched": 1024, "background": 4096}
        self.accounts = Accounts(lambda _: "remote")
        self._client = client
        self._asked: dict[str, asyncio.Future[Envelope]] = {}
        self._inboxes: dict[str, Subscription] = {}
        self._remote: dict[int, Subscription] = {}
        self._numbers: dict[Subscription, int] = {}
        self._options: dict[int, Subscribe] = {}
        self._next = 0
        self._inbox = 0
        self._deliveries = Deliveries()
        self._states: dict[int, tuple[bytes, list[float]]] = {}
        """What is to be said with the end of a delivery: a state, and what a clock said."""
        self._checked: set[str] = set()
        self._offer: Offer | None = None
        client.deliver = self._deliver
        client.restore = self._restore

    # -- publishing --------------------------------------------------------------------------

    async def publish(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """Send an event; how many took it if it asks for replies to an inbox, else -1.

        Waits only for that count, or if the server is thousands of messages behind.
        """
        message = self._message(topic, data, type, fields)
        if self._client.is_full:
            await self._client.room()
        if fields and fields.get("reply_to", "").startswith("$inbox."):
            message.confirm = True  # whoever asks wants to know whether anybody heard
            return await self._client.publish_confirmed(message)
        self._client.send(message)
        return -1

    def publish_nowait(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """As `publish`, without waiting."""
        if self._client.is_full:
            raise BackpressureTimeout(topic, str(self._client.address), 0.0)
        self._client.send(self._message(topic, data, type, fields))
        return -1

    def _message(self, topic: str, data: Any, type: str, fields: EnvelopeFields) -> Publish:
        if topic not in self._checked:
            self._check(topic)
        cause = get_cause()
        number = 0
        if cause is not None:
            number = self._number_of(topic, cause)
            fields = _with_labels(cause, self._deliveries.find(cause), fields)
        if kind(data) is bytes:
            octets, message = data, Publish(topic, UNSET, data, type, number)
        else:
            octets = data.text if kind(data) is Encoded else encode_json(data, topic)
            message = Publish(topic, octets, UNSET, type, number)
        if len(octets) > self._client.welcome.max_payload:
            raise PayloadTooLarge(topic, len(octets), self._client.welcome.max_payload)
        if fields:
            message.fields = _sendable(topic, fields)
        return message

    def _check(self, topic: str) -> None:
        check_topic(topic)
        if len(self._checked) >= CHECKED:
            self._checked.clear()
        self._checked.add(topic)

    def _number_of(self, topic: str, cause: Envelope) -> int:
        """The delivery that *cause* is, if it came through here."""
        number = self._deliveries.number(cause)
        if number and cause.ttl <= 1:
            raise HopLimitExceeded(topic, cause.thread_id, cause.hop + 1)
        return number

    async def flush(self) -> None:
        """Wait until the server has done all that was said so far."""
        nothing = Publish(self.new_inbox(), b"null", confirm=True)
        await self._client.publish_confirmed(nothing)

    # -- request and reply -------------------------------------------------------------------

    def new_inbox(self) -> str:
        """A private topic; a subscription to it costs the server nothing."""
        self._inbox += 1
        return f"$inbox.{self._client.welcome.session}.{self._inbox}"

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
        """Publish and wait for the first reply (*timeout* in seconds); see `Bus.request`."""
        inbox = self.new_inbox()
        fields["reply_to"] = inbox
        fields.setdefault("expires", self.now() + timeout)
        message = self._message(topic, data, type, fields)
        message.confirm = True
        answer: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()
        self._asked[inbox] = answer
        taken = self._client.publish_confirmed(message)
        taken.add_done_callback(lambda known: _fail_if_unheard(topic, known, answer))
        try:
            async with asyncio.timeout(timeout):
                reply = await answer
        except TimeoutError:
            late = {"topic": topic, "timeout": timeout}
            self._client.send(Report("request.timed_out", late))
            raise RequestTimeout(topic, timeout, inbox) from None
        finally:
            del self._asked[inbox]
            taken.cancel()
        cause = current.get()
        if cause is not None and not reply.labels <= cause.labels:
            current.set(msgspec.structs.replace(cause, labels=cause.labels | reply.labels))
        return reply

    # -- subscribing -------------------------------------------------------------------------

    def subscribe(
        self, subscriber: str, patterns: Iterable[str], **options: Unpack[SubscribeOptions]
    ) -> Subscription:
        """Receive what is published to *patterns* from now on; see `Bus.subscribe`."""
        wanted = tuple(dict.fromkeys(check_pattern(pattern) for pattern in patterns))
        if not wanted:
            raise ValueError("subscribe to at least one pattern")
        capacity = options.get("capacity") or self.capacity[options.get("qos", "batched")]
        subscription = Subscription(  # what overflows, overflows at the server
            self,
            wanted,
            subscriber=subscriber,
            name=options.get("name", ""),
            capacity=max(capacity, WINDOW),
        )
        if all(pattern.startswith("$inbox.") for pattern in wanted):
            self._inboxes |= dict.fromkeys(wanted, subscription)
            return subscription
        is_mailbox = subscription.name == f"agent:{subscriber}" and 0 not in self._remote
        number = 0 if is_mailbox else self._next + 1
        self._next = max(self._next, number)
        message = Subscribe(
            number,
            wanted,
            options.get("qos", "batched"),
            options.get("overflow", ""),
            capacity,
            tuple(options.get("types", ())),
            options.get("group", ""),
            min(capacity, WINDOW),
        )
        self._remote[number] = subscription
        self._numbers[subscription] = number
        self._options[number] = message
        subscription.on_settled = self._settled
        self._client.send(message)
        return subscription

    def listen(self, subscription: Subscription, pattern: str) -> None:
        """Deliver *pattern* to *subscription* too."""
        number = self._numbers[subscription]
        self._client.send(msgspec.structs.replace(self._options[number], patterns=(pattern,)))

    def unlisten(self, subscription: Subscription, pattern: str) -> None:
        """Deliver *pattern* to it no more."""
        self._client.send(Unsubscribe(self._numbers[subscription], (pattern,)))

    def forget(self, subscription: Subscription) -> None:
        """Deliver nothing to it any more (called by its `close`)."""
        for pattern in subscription.patterns:
            if self._inboxes.get(pattern) is subscription:
                del self._inboxes[pattern]
        number = self._numbers.pop(subscription, None)
        if number is not None:
            del self._remote[number], self._options[number]
            self._deliveries.forget([*subscription.backlog])
            if number or not self._client.returns:
                self._client.send(Unsubscribe(number))

    def report(self, error: BaseException, subscription: Subscription, envelope: Envelope) -> None:
        """Tell the log and `$loom.error` that a handler failed."""
        self._client.failures += 1
        log.error("%s failed on %s", subscription.name, envelope.topic, exc_info=error)
        self.publish_error(
            "ACTION_ERROR",
            subscription.subscriber,
            error,
            topic=envelope.topic,
            event=envelope.id,
            subscription=subscription.name,
        )

    def publish_error(
        self, code: str, source: str, error: BaseException, /, **details: str
    ) -> None:
        """One event on `$loom.error`, told by the server in this session's name."""
        failure = {"code": code, "error": type(error).__name__, "message": str(error)}
        self._client.send(Report("error", {**failure, **details}))

    def add_filter(
        self, passed: Callable[..., Any], patterns: Iterable[str], *, order: int = 0
    ) -> NoReturn:
        """Filters stand where events are routed, which is at the other end."""
        raise LoomError("a filter cannot be added through a bridge; write a plugin for the server")

    # -- what the agent knows: see `loom.contracts.Journal` ----------------------------------

    @property
    def generation(self) -> str:
        """The session: a new one may know less than this process does."""
        return self._client.welcome.session

    async def load(self, owner: str) -> bytes:
        """What the server said that the agent knew."""
        return self._client.welcome.state

    async def keep(
        self, owner: str, state: bytes, event: Envelope, clock: Sequence[float] = ()
    ) -> None:
        """Say *state* and *clock* together with the end of *event*.

        Raises:
            LoomError: it is too long.
        """
        if len(state) > self._client.welcome.max_payload:
            longest = self._client.welcome.max_payload
            raise LoomError(f"{owner} knows {len(state)} bytes; at most {longest} are kept")
        if self._deliveries.find(event) is not None:
            self._states[event.delivery] = state, list(clock)

    def begin_anew(self, owner: str, event: Envelope) -> None:
        """The server knows whose connection ended."""

    def abandon(self, name: str) -> None:
        """The server forgets who says goodbye."""

    # -- tools -------------------------------------------------------------------------------

    async def call(self, call: ToolCall) -> ToolResult:
        """Run a tool through the broker at the other end."""
        cause = get_cause()
        number = self._deliveries.number(cause) if cause is not None else 0
        return await self._client.call(call, number)

    def offer(
        self,
        tools: Iterable[ToolDescriptor],
        answer: Callable[[ToolCall], Awaitable[ToolResult]],
    ) -> None:
        """Offer *tools*, and no others, from now on; *answer* runs them."""
        self._offer = Offer(tuple(tools))
        self._client.answer_call = partial(self._run, answer)
        self._client.send(self._offer)

    async def _run(
        self, answer: Callable[[ToolCall], Awaitable[ToolResult]], message: Call
    ) -> ToolResult:
        """Run one of our own tools; what it says meanwhile names the call as its cause."""
        call = message.call
        cause = Envelope(
            "tool.call", self.node, self.now(), "tool.call", sender=call.caller,
            number=secrets.randbits(62), subject=call.id,
        )  # fmt: skip
        self._deliveries.enter(message.cause, cause)
        current.set(cause)
        try:
            return await answer(call)
        finally:
            self._deliveries.settle(cause)

    # -- from the server ---------------------------------------------------------------------

    def _deliver(self, message: Deliver) -> None:
        event = message.event
        subscription = self._remote.get(message.sub)
        if subscription is None:
            if (answer := self._asked.get(event.topic)) is not None:
                if not answer.done():
                    answer.set_result(event)
                return
            subscription = self._inboxes.get(event.topic)
            if message.number:
                self._client.settle(message.number)
            if subscription is not None:
                subscription.offer(event)
            return
        self._deliveries.enter(message.number, event)
        if len(subscription.queue) < subscription.fast_limit:
            subscription.queue.append(event)
            subscription.offered += 1
            if subscription.waiter is not None:
                subscription.wake()
        elif subscription.offer(event) is not True:
            self._settled(event)

    def _settled(self, event: Envelope, failure: BaseException | None = None) -> None:
        if not (number := self._deliveries.settle(event)):
            return
        state, clock = self._states.pop(event.delivery, (b"", []))
        if self._client.welcome.keeps and (state or clock or failure is not None):
            if failure is None:
                self._client.send(Settle(number, state=state, clock=clock))
            else:
                self._client.send(_settlement(number, failure))
        else:
            self._client.settle(number)

    def _restore(self) -> tuple[list[ClientMessage], set[int]]:
        """What a new session has to know, and what of the old one comes again in it."""
        mailbox = self._remote.get(0) if self._client.welcome.keeps else None
        again = self._deliveries.begin_session(mailbox)
        self._states.clear()
        known: list[ClientMessage] = [
            msgspec.structs.replace(self._options[number], patterns=subscription.patterns)
            for number, subscription in self._remote.items()
        ]
        return known if self._offer is None else [*known, self._offer], again


def _with_labels(cause: Envelope, known: Envelope | None, fields: EnvelopeFields) -> EnvelopeFields:
    """*fields* with the labels of *cause* that the server does not know: replies brought them."""
    own = cause.labels if known is None else cause.labels - known.labels
    return {**fields, "labels": own | frozenset(fields.get("labels", ()))} if own else fields


def _settlement(delivery: int, failure: BaseException) -> Settle:
    """What is said of a delivery that failed."""
    reason = f"{type(failure).__name__}: {failure}"[:LONGEST_REASON]
    if isinstance(failure, Retry):
        return Settle(delivery, "retry", str(failure)[:LONGEST_REASON], failure.delay)
    return Settle(delivery, "reject" if isinstance(failure, Reject) else "failed", reason)


def _sendable(topic: str, fields: EnvelopeFields) -> Fields:
    known = checked_fields(topic, fields)
    for name in ("labels", "tags"):
        if name in known:
            known[name] = sorted(known[name]) if name == "labels" else list(known[name])
    for name in ("metadata", "budget"):
        if known.get(name) is not None:
            known[name] = dict(known[name])
    return known  # type: ignore[return-value]  # `checked_fields` let nothing else through


def _fail_if_unheard(
    topic: str, taken: asyncio.Future[int], answer: asyncio.Future[Envelope]
) -> None:
    """No answer comes to what the server refused, or nobody heard."""
    if taken.cancelled() or answer.done():
        return
    if (error := taken.exception()) is not None:
        answer.set_exception(error)
    elif taken.result() == 0:
        answer.set_exception(NoResponders(topic))
