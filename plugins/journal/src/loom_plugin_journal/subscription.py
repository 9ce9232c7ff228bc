"""The two ends of the journal at the bus: where events go in, and where they come out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from loom.contracts import HandlerTimeout
from loom_kernel import Bus, Envelope, Handler, Host, LoomError, Subscription

if TYPE_CHECKING:
    from loom_plugin_journal.consumer import Consumer
    from loom_plugin_journal.flight import Key
    from loom_plugin_journal.journal import Journal


class Intake(Subscription):
    """Where the bus hands over what must not be lost: its publishers wait until it is written."""

    is_direct = False

    def __init__(self, journal: Journal, bus: Any, patterns: Iterable[str]) -> None:
        super().__init__(bus, tuple(patterns), subscriber="journal", name="journal:intake")
        self._journal = journal

    @property
    def needs_credit(self) -> bool:
        """Whether nothing can be written now."""
        return self._journal.is_stuck

    def offer(self, envelope: Envelope) -> bool | None:
        """Every publisher waits, but for events that are nobody's to keep."""
        return None if self._journal.takes(envelope) else False

    def ask_credit(self, envelope: Envelope) -> asyncio.Future[Any]:
        """True when it is written; JournalUnavailable if it cannot be."""
        return self._journal.append(envelope)

    def insist(self, envelope: Envelope) -> bool:
        """It is written with the next commit, whether or not somebody waits."""
        self.ask_credit(envelope)
        return True

    def withdraw(self, granted: asyncio.Future[Any]) -> bool:
        """Ask no more. What is being written is written."""
        return granted.cancel() or granted.cancelled()


class DurableSubscription(Subscription):
    """A subscription under a durable name. What is not written down comes as to any other."""

    is_direct = False

    def __init__(
        self,
        bus: Any,
        patterns: tuple[str, ...],
        *,
        journal: Journal,
        time_limit: float,
        **options: Any,
    ) -> None:
        super().__init__(bus, patterns, **options)
        self._journal = journal
        self._router = bus
        self._time_limit = time_limit
        self.is_ours = False
        """Whether a handler of this process has what it is given; else it goes elsewhere."""
        self.consumer: Consumer = journal.consumer(self)
        self.on_settled = self._done
        self.consumer.attach(self)

    def feed(self, envelope: Envelope) -> None:
        """Queue what comes from the log."""
        self._router.accounts.of(envelope.topic).offered += 1
        self.offered += 1
        self.backlog.append(envelope)
        self.wake()

    def hold(self, key: Key) -> list[str]:
        """Take back what waits in the queue of *key*: something before it is tried again."""
        waiting = [self.backlog.take() for _ in range(len(self.backlog))]
        held = []
        for envelope in waiting:
            if (envelope.topic, envelope.thread_id) == key and self.consumer.has(envelope):
                held.append(envelope.id)
                self._router.accounts.of(envelope.topic).offered -= 1
                self.offered -= 1
            else:
                self.backlog.append(envelope)
        return held

    def offer(self, envelope: Envelope) -> bool | None:
        """Queue what is not written down; the rest comes when it is."""
        return False if self._journal.takes(envelope) else super().offer(envelope)

    def take(self) -> Envelope:
        """One envelope, from now on in a handler's hands."""
        envelope = super().take()
        self.consumer.begin(envelope, is_ours=self.is_ours)
        return envelope

    async def receive(self) -> Envelope | None:
        """As any other."""
        self.is_ours = True
        return await super().receive()

    async def serve(self, handler: Handler) -> None:
        """As any other; a handler that takes too long has failed."""
        self.is_ours = True
        if not self._time_limit or self.settles_late:
            await super().serve(handler)
            return

        async def within(envelope: Envelope) -> None:
            limit = asyncio.timeout(self._time_limit)
            try:
                async with limit:
                    await handler(envelope)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise HandlerTimeout(self.name, self._time_limit) from error

        await super().serve(within)

    def add(self, pattern: str) -> None:
        """Receive *pattern* too."""
        super().add(pattern)
        self._journal.listen(self)

    def remove(self, pattern: str) -> None:
        """Receive *pattern* no more."""
        super().remove(pattern)
        self._journal.listen(self)

    def close(self) -> None:
        """End it; what was not done with is delivered to who comes next under this name."""
        if not self.is_closed:
            super().close()
            self.consumer.detach(self)

    def _done(self, envelope: Envelope, failure: BaseException | None) -> None:
        if envelope.expires and failure is None and envelope.expires <= self._router.now():
            self.consumer.expire(envelope)
        else:
            self.consumer.settle(envelope, failure)


def plain(bus: Bus, patterns: tuple[str, ...], **options: Any) -> Subscription:
    """A subscription as any other: what a durable name gets without a journal."""
    return Subscription(bus, patterns, **options)


def bus_of(host: Host) -> Bus:
    """The bus of this process.

    Raises:
        LoomError: it is in another one.
    """
    bus = host.world.bus
    if not isinstance(bus, Bus):
        raise LoomError("the journal belongs where the bus is")
    return bus


def seen(future: asyncio.Future[int]) -> None:
    """Who published without waiting is told by the journal's health, not by a lost exception."""
    if not future.cancelled():
        future.exception()
