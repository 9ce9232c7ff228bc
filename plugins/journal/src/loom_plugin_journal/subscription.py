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


PRIVATE = ("$", "dlq.")
"""Topics that are never written down: the runtime's own, and what tells of dead letters."""


class Intake(Subscription):
    """Where the bus hands over what must not be lost: its publishers wait until it is written."""

    is_direct = False

    def __init__(self, journal: Journal, bus: Any, patterns: Iterable[str]) -> None:
        super().__init__(bus, tuple(patterns), subscriber="journal", name="journal:intake")
        self._journal = journal
        self._asked: Envelope | None = None
        self._is_taken = False

    def takes(self, envelope: Envelope) -> bool:
        """Whether *envelope* is to be written down.

        A request whose asker waits at an inbox is not: an answer after a restart is nobody's.
        """
        if envelope is not self._asked:  # one subscription after the other asks
            is_private = envelope.topic.startswith(PRIVATE)
            self._is_taken = not (is_private or envelope.reply_to.startswith("$inbox."))
            self._asked = envelope
        return self._is_taken

    @property
    def needs_credit(self) -> bool:
        """Whether nothing can be written now."""
        return self._journal.is_stuck

    def offer(self, envelope: Envelope) -> bool | None:
        """Every publisher waits, but for events that are nobody's to keep."""
        return None if self.takes(envelope) else False

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
        return False if self._journal.intake.takes(envelope) else super().offer(envelope)

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
        watch = Watch(self._time_limit)

        async def within(envelope: Envelope) -> None:
            watch.begin()
            try:
                await handler(envelope)
            except asyncio.CancelledError:
                if not watch.is_over:
                    raise
                watch.uncancel()
                raise HandlerTimeout(self.name, self._time_limit) from None
            finally:
                watch.end()

        try:
            await super().serve(within)
        finally:
            watch.close()

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


class Watch:
    """Cancels what the task that made it does if that takes more than *seconds*.

    One timer watches all that the task does, one thing after the other: a timer for each would
    cost more than most handlers do.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        """Whether the limit ended what is being done."""
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._began: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The task begins something."""
        self.is_over = False
        self._began = self._loop.time()
        if self._timer is None:
            self._look_at(self._began + self._seconds)

    def end(self) -> None:
        """It is done with it."""
        self._began = None

    def uncancel(self) -> None:
        """Take the cancel back, unless somebody else cancelled the task too.

        Raises:
            CancelledError: somebody did.
        """
        if self._task is not None and self._task.uncancel() > 0:
            raise asyncio.CancelledError

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_at(self, moment: float) -> None:
        self._timer = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._began is None:
            return
        if self._loop.time() < (due := self._began + self._seconds):
            self._look_at(due)
        elif self._task is not None:
            self.is_over = True
            self._task.cancel()


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
