"""What a client was given and has not settled yet, through one session after the other."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from loom_kernel import Envelope, Subscription

from loom.bridge.errors import Disconnected

_BITS = 40
_NUMBER = (1 << _BITS) - 1
"""The part of a delivery's number here that its server knows; the rest is the session's."""


class Deliveries:
    """The events in hand, by numbers that tell sessions apart: a server counts anew in each."""

    def __init__(self) -> None:
        self._live: dict[int, Envelope] = {}
        self._void: set[int] = set()
        """Deliveries of a session that is over, whose events come again in this one."""
        self._session = 0

    def enter(self, number: int, event: Envelope) -> None:
        """*event* arrived, and its server calls it *number*."""
        msgspec.structs.force_setattr(event, "delivery", self._session | number)
        self._live[event.delivery] = event

    def find(self, cause: Envelope) -> Envelope | None:
        """The delivery that *cause* is, if it came through here and is not settled.

        Raises:
            Disconnected: its event comes again; what it causes now would be done twice.
        """
        if cause.delivery in self._void:
            again = f"event {cause.id} comes again in another session; what it causes now is void"
            raise Disconnected("ABORTED", again)
        known = self._live.get(cause.delivery)
        return known if known is not None and known.number == cause.number else None

    def number(self, cause: Envelope) -> int:
        """What the server calls the delivery that *cause* is; 0 if it does not know it.

        Raises:
            Disconnected: see `find`.
        """
        return cause.delivery & _NUMBER if self.find(cause) is not None else 0

    def settle(self, event: Envelope) -> int:
        """It is done with; what the server calls it, 0 = it does not want to know."""
        self._void.discard(event.delivery)
        known = self._live.pop(event.delivery, None)
        return event.delivery & _NUMBER if known is not None else 0

    def forget(self, events: Collection[Envelope]) -> None:
        """These will never be handled."""
        for event in events:
            self._live.pop(event.delivery, None)

    def begin_session(self, mailbox: Subscription | None) -> set[int]:
        """The session before is over; the numbers in it of what comes again in the next.

        A journal delivers again what *mailbox* was given in it: what waits there is dropped, and
        what is being handled is void. None = there is no journal, and nothing comes again.
        """
        self._session += 1 << _BITS
        live, self._live = self._live, {}
        if mailbox is None:
            return set()
        waiting: set[int] = set()
        for _ in range(mailbox.queued):
            event = mailbox.backlog.take()
            waiting.add(event.delivery)
            if comes_again(event):
                mailbox.offered -= 1
            else:
                mailbox.backlog.append(event)
        again = {number for number, event in live.items() if comes_again(event)}
        self._void = again - waiting
        return {number & _NUMBER for number in again}


def comes_again(event: Envelope) -> bool:
    """Whether a journal has *event*.

    It never keeps requests whose askers wait at an inbox. `tool.call` is what causes that which our
    own tools say.
    """
    is_private = event.topic.startswith(("$", "dlq.")) or event.topic == "tool.call"
    return not (is_private or event.reply_to.startswith("$inbox."))
