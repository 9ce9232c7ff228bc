"""What the forms of working together have in common: time, arrivals, and telling what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Unpack
from uuid import uuid4

import msgspec
from loom_kernel import (
    BusClosed,
    Clock,
    Envelope,
    EnvelopeFields,
    Host,
    LoomError,
    Subscription,
    current,
)

if TYPE_CHECKING:
    from loom.context import Thread

log = logging.getLogger("loom.collaboration")

TAGS = ("collab",)
#: Reports give way to work, awards go before it.
LOW, HIGH = 40, 60
PRIVATE = "$inbox."
INSTANT = 1e-6
#: How many seconds a listener who is full may hold up the one who is done.
PATIENCE = 1.0


class Deadline:
    """A moment some seconds away."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"the time to wait is {seconds:g} s, must be more than 0")
        self.seconds = seconds
        self._clock = clock
        self._start = clock.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self._clock.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until then; 0 when less than a timer can tell is left."""
        left = self.seconds - self.elapsed
        return left if left > INSTANT else 0.0


async def next_before(subscription: Subscription, seconds: float) -> Envelope | None:
    """The next that is there or arrives within *seconds*; None when there is none.

    Raises:
        BusClosed: the runtime ended the subscription.
    """
    # Looking once more: what came in the moment in which the time was over did come in time.
    for limit in (seconds, 0):
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                return await _receive(subscription)
    return None


async def _receive(subscription: Subscription) -> Envelope:
    envelope = await subscription.receive()
    if envelope is None:
        raise BusClosed(subscription.patterns[0])
    subscription.settle(envelope)
    return envelope


def thread_id_of(thread: Thread | str | None) -> str:
    """The thread that is meant: the given one, that of the event being handled, or a new one."""
    if thread:
        return thread if isinstance(thread, str) else thread.id
    cause = current.get()
    return cause.thread_id if cause is not None else uuid4().hex


def share_labels(envelopes: Iterable[Envelope]) -> None:
    """Let what is published from now on carry the labels of *envelopes* too."""
    cause = current.get()
    if cause is None:
        return
    labels = cause.labels.union(*(envelope.labels for envelope in envelopes))
    if labels != cause.labels:
        current.set(msgspec.structs.replace(cause, labels=labels))


async def announce(host: Host, thread_id: str, type: str, data: Any) -> None:
    """Tell the thread how it ended. A listener who has no room for it costs nobody the result."""
    topic = f"thread.{thread_id}.reply"
    try:
        async with asyncio.timeout(PATIENCE):
            await host.publish(topic, data, type, thread_id=thread_id, tags=TAGS, priority=LOW)
    except (LoomError, TimeoutError) as error:
        log.warning("%s of thread %r did not reach all: %r", type, thread_id, error)


def tell(host: Host, topic: str, data: Any, type: str, **fields: Unpack[EnvelopeFields]) -> None:
    """Publish without waiting, also while being cancelled; a failure is logged."""
    fields["tags"] = TAGS
    try:
        host.publish_nowait(topic, data, type, **fields)
    except LoomError as error:
        log.warning("%s to %r was only logged: %s", type, topic, error)
