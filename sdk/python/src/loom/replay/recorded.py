"""The world of a replayed agent: a bus, tools and a clock that only know the record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Unpack

import msgspec
from loom_kernel import (
    Accounts,
    Envelope,
    EnvelopeFields,
    Identity,
    Qos,
    RequestTimeout,
    SubscribeOptions,
    Subscription,
    check_topic,
    decode_json,
    encode_json,
)

from loom.contracts import Handling, ToolCall, ToolDescriptor, ToolResult, canonical
from loom.replay.errors import Diverged

INBOX = "$inbox.replay."


class RecordedClock:
    """Says what the clock said, reading by reading. Waiting takes the loop's time: none."""

    def __init__(self) -> None:
        self.now = 0.0
        """What it says outside a handling."""
        self._readings: list[float] | None = None
        self.time: Callable[[], float] = self._read

    def begin(self, handling: Handling) -> None:
        """Say what it said in *handling*."""
        self.now = handling.began
        self._readings = list(handling.clock)

    def end(self) -> None:
        """The handling is over."""
        self._readings = None

    def monotonic(self) -> float:
        """The next reading."""
        return self._read()

    def _read(self) -> float:
        if self._readings is None:
            return self.now
        if not self._readings:
            raise Diverged("the clock is asked more often than when this was recorded")
        return self._readings.pop(0)

    async def sleep(self, seconds: float) -> None:
        """Let the loop's time pass."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: float) -> None:
        """Let the loop's time pass until *moment*."""
        await asyncio.sleep(max(moment - self.now, 0.0))


class RecordedBus:
    """What one agent publishes, asks and calls is compared with the record; nobody else hears it.

    Outside a handling (when the agent starts) what it publishes is let go, and no tool is there.
    """

    def __init__(self, clock: RecordedClock, state: bytes) -> None:
        self.node = "replay"
        self.now = lambda: clock.now
        self.capacity: dict[Qos, int] = {"realtime": 64, "batched": 1024, "background": 4096}
        self.accounts = Accounts(lambda _: "replay")
        self.state = state
        """What the agent knows, as JSON."""
        self.generation = ""
        self.failures: list[str] = []
        """How it diverged, also where the agent's code caught that."""
        self._handling: Handling | None = None
        self._emitted: list[dict[str, Any]] = []
        self._calls: list[tuple[str, bytes, ToolResult]] = []
        self._inboxes: dict[str, Subscription] = {}
        self._inbox = 0

    # -- handlings ---------------------------------------------------------------------------

    def begin(self, handling: Handling) -> None:
        """Compare what follows with *handling*."""
        self._handling = handling
        self._emitted = [msgspec.to_builtins(emission) for emission in handling.emitted]
        self._calls = [
            (call.name, canonical(call.arguments), msgspec.convert(call.result, ToolResult))
            for call in handling.calls
        ]
        self.failures = []

    def end(self) -> list[str]:
        """What was not done again."""
        left = [f"it did not publish {one['topic']} again" for one in self._emitted]
        left += [f"it did not call {name} again" for name, _, _ in self._calls]
        self._handling = None
        return left

    def _diverged(self, what: str) -> Diverged:
        self.failures.append(what)
        return Diverged(what)

    # -- publishing --------------------------------------------------------------------------

    async def publish(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """Compare the event with the record; what came back then comes back now."""
        return self._publish(topic, data, type, fields)

    def publish_nowait(
        self,
        identity: Identity,
        topic: str,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """As `publish`."""
        return self._publish(topic, data, type, fields)

    def _publish(self, topic: str, data: Any, type: str, fields: EnvelopeFields) -> int:
        check_topic(topic)
        if self._handling is None:
            return 0
        replies = self._match(topic, data, type)
        inbox = self._inboxes.get(fields.get("reply_to", ""))
        if inbox is not None:
            for reply in replies:
                inbox.offer(_envelope(reply, inbox.patterns[0]))
        return 1

    def _match(self, topic: str, data: Any, type: str) -> list[dict[str, Any]]:
        """The replies to the recorded event that this one repeats."""
        value = None if isinstance(data, bytes) else decode_json(encode_json(data, topic), topic)
        kind = "" if type in ("", topic) else type
        others = []
        for number, known in enumerate(self._emitted):
            if known["topic"] != topic or known.get("type", "") != kind:
                continue
            if isinstance(data, bytes) or known.get("data") == value:
                return list(self._emitted.pop(number).get("replies", ()))
            others.append(known.get("data"))
        if not others:
            raise self._diverged(f"it publishes {topic}, which was not published then")
        then, now = _short(others[0]), _short(value)
        raise self._diverged(f"on {topic} it publishes {now}; recorded was {then}")

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
        """The reply that came then.

        Raises:
            RequestTimeout: none came.
        """
        if self._handling is None:
            raise RequestTimeout(topic, timeout, "")
        replies = self._match(topic, data, type)
        if not replies:
            raise RequestTimeout(topic, timeout, "")
        return _envelope(replies[0], self.new_inbox())

    def publish_error(
        self, code: str, source: str, error: BaseException, /, **details: str
    ) -> None:
        """Errors are compared with the handling's end."""

    # -- subscribing -------------------------------------------------------------------------

    def new_inbox(self) -> str:
        """A private topic."""
        self._inbox += 1
        return f"{INBOX}{self._inbox}"

    def subscribe(
        self, subscriber: str, patterns: Iterable[str], **options: Unpack[SubscribeOptions]
    ) -> Subscription:
        """A subscription; only inboxes ever get something."""
        subscription = Subscription(self, tuple(patterns), subscriber=subscriber)
        self._inboxes |= dict.fromkeys(subscription.patterns, subscription)
        return subscription

    def listen(self, subscription: Subscription, pattern: str) -> None:
        """Deliver *pattern* to *subscription* too."""
        self._inboxes[pattern] = subscription

    def unlisten(self, subscription: Subscription, pattern: str) -> None:
        """Deliver *pattern* no more."""
        self._inboxes.pop(pattern, None)

    def forget(self, subscription: Subscription) -> None:
        """Deliver nothing to it any more."""
        for pattern in subscription.patterns:
            self._inboxes.pop(pattern, None)

    def report(self, error: BaseException, subscription: Subscription, envelope: Envelope) -> None:
        """A handler beside the agent's own has failed."""
        self.failures.append(f"{subscription.name} failed: {error!r}")

    def add_filter(
        self, passed: Callable[..., Any], patterns: Iterable[str], *, order: int = 0
    ) -> Callable[[], None]:
        """Nothing passes here."""
        return lambda: None

    # -- tools: see `loom.contracts.RemoteTools` ---------------------------------------------

    async def call(self, call: ToolCall) -> ToolResult:
        """What the tool answered then."""
        if self._handling is None:
            return ToolResult(call.id, "PROVIDER_UNAVAILABLE")
        arguments = canonical(call.arguments)
        for number, (name, known, result) in enumerate(self._calls):
            if name == call.name and known == arguments:
                del self._calls[number]
                return result
        others = [known for name, known, _ in self._calls if name == call.name]
        recorded = f"; recorded was {others[0].decode()[:200]}" if others else ""
        raise self._diverged(f"it calls {call.name} with {arguments.decode()[:200]}{recorded}")

    def offer(self, tools: Iterable[ToolDescriptor], answer: Callable[[ToolCall], Any]) -> None:
        """Nobody calls."""

    # -- what the agent knows: see `loom.contracts.Journal` ----------------------------------

    async def load(self, owner: str) -> bytes:
        """What it knew before the first event of the record."""
        return self.state

    def keep(
        self, owner: str, state: bytes, event: Envelope, clock: Sequence[float] = ()
    ) -> Awaitable[None]:
        """It knows *state*."""
        if state:
            self.state = state
        return asyncio.sleep(0)

    def abandon(self, name: str) -> None:
        """Nothing is kept."""


def envelope_of(event: dict[str, Any]) -> Envelope:
    """The envelope that a record holds, with the ids it had."""
    return _envelope(event, event["topic"])


def _envelope(event: dict[str, Any], topic: str) -> Envelope:
    known: dict[str, Any] = {
        name: event[name]
        for name in (
            "type", "source", "time", "sender", "subject", "causation_id", "ttl", "hop",
            "content_type", "priority", "confidence", "metadata", "budget", "expires",
        )
        if name in event
    }  # fmt: skip
    for name in ("id", "thread_id", "correlation_id", "reply_to"):
        known["_" + name] = event.get(name, "")
    known["_trace"] = event.get("traceparent", "")
    known["labels"] = frozenset(event.get("labels", ()))
    known["tags"] = tuple(event.get("tags", ()))
    return Envelope(topic=topic, _data=_data(event), **known)


def _data(event: dict[str, Any]) -> Any:
    if "data_base64" in event:
        from base64 import b64decode

        return b64decode(event["data_base64"])
    return event.get("data")


def _short(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
