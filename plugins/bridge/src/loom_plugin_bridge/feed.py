"""A feed: what one subscription receives, handed down a session as fast as it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec
from loom.bridge import messages
from loom_kernel import Envelope, LoomError, Subscription

from loom_plugin_bridge.access import Scope

BATCH = 256


class Outlet:
    """What a feed needs of its session."""

    def __init__(
        self,
        put: Callable[[messages.ServerMessage], None],
        wake: Callable[[], None],
        is_full: Callable[[], bool],
        scope: Scope,
    ) -> None:
        self.watch: Callable[[Envelope], None] | None = None
        """Called with each event that is handed down."""
        self.put = put
        self.wake = wake
        self.is_full = is_full
        self.scope = scope
        self.deliveries = 0
        self.longest = 1 << 20
        """Bytes of data that an event may have to fit into a frame of this client's."""
        self.unsettled: dict[int, tuple[Feed, Envelope]] = {}
        """What was delivered and not acknowledged, by number, in order."""
        self.has_room = asyncio.Event()
        self.has_room.set()

    def forget(self, feed: Feed) -> None:
        """Nobody will acknowledge what *feed* handed down."""
        for number in [n for n, entry in self.unsettled.items() if entry[0] is feed]:
            del self.unsettled[number]

    def settle(self, first: int, last: int) -> int:
        """Acknowledge the deliveries from *first* to *last*; how many were waiting for it."""
        unsettled = self.unsettled
        numbers: Iterable[int] = range(first, last + 1)
        if last - first >= len(unsettled):  # what costs least: the run, or all there is
            numbers = [number for number in unsettled if first <= number <= last]
        count = 0
        for number in numbers:
            entry = unsettled.pop(number, None)
            if entry is not None:
                feed, envelope = entry
                feed.outstanding -= 1
                feed.has_window.set()
                feed.subscription.settle(envelope)
                count += 1
        return count

    def conclude(self, number: int, failure: BaseException | None) -> bool:
        """Acknowledge delivery *number* and the failure it ended in; whether it was open."""
        entry = self.unsettled.pop(number, None)
        if entry is None:
            return False
        feed, envelope = entry
        feed.outstanding -= 1
        feed.has_window.set()
        feed.subscription.settle(envelope, failure)
        return True


class Feed:
    """One subscription of a remote client."""

    def __init__(
        self, number: int, subscription: Subscription, window: int, outlet: Outlet
    ) -> None:
        self.number = number
        self.subscription = subscription
        self.window = window
        self.outlet = outlet
        self.again: list[Envelope] = []
        """What an earlier process of the client left unacknowledged; it comes first."""
        self.on_event: Callable[[Envelope], None] | None = None
        """Called with each event of this feed that is handed down."""
        self.outstanding = 0
        self.has_window = asyncio.Event()
        self.has_window.set()

    async def run(self) -> None:
        """Hand down what arrives until the subscription is closed."""
        self._hand_down(self.again, is_repeated=True)
        outlet, window = self.outlet, self.window
        while True:
            await self._wait()
            left = min(window - self.outstanding, BATCH) if window else BATCH
            envelopes = await self.subscription.receive_many(left)
            if not envelopes:
                return
            self._hand_down(envelopes)
            outlet.wake()

    async def _wait(self) -> None:
        """Until the client has acknowledged enough, and its connection has taken enough."""
        while True:
            if self.window and self.outstanding >= self.window:
                self.has_window.clear()
                await self.has_window.wait()
            elif self.outlet.is_full():
                self.outlet.has_room.clear()
                await self.outlet.has_room.wait()
            else:
                return

    def _hand_down(self, envelopes: list[Envelope], *, is_repeated: bool = False) -> None:
        outlet, sub, put = self.outlet, self.number, self.outlet.put
        is_plain = outlet.watch is None and outlet.scope.is_open
        unsettled, longest, counts = outlet.unsettled, outlet.longest, bool(self.window)
        number = 0
        for envelope in envelopes:
            if self.on_event is not None:
                self.on_event(envelope)
            try:
                event = envelope.packed()
            except LoomError as error:
                put(messages.Failure("INVALID_ARGUMENT", str(error)))
                continue
            if (size := len(event.payload)) > longest:
                told = f"event {event.id} has {size} bytes of data; a frame holds {longest}"
                put(messages.Failure("RESOURCE_EXHAUSTED", told))
                continue
            if counts:
                outlet.deliveries = number = outlet.deliveries + 1
                self.outstanding += 1
                unsettled[number] = self, envelope
            if not is_plain:
                event = self._in_scope(envelope, event)
            put(messages.Deliver(sub, event, number, is_repeated))

    def _in_scope(self, envelope: Envelope, event: Envelope) -> Envelope:
        """*event* as a client that may not see everything knows it."""
        outlet = self.outlet
        if outlet.watch is not None:
            outlet.watch(envelope)
        if outlet.scope.is_open:
            return event
        return msgspec.structs.replace(
            event,
            topic=outlet.scope.own_topic(event.topic),
            sender=outlet.scope.own_name(event.sender),
        )
