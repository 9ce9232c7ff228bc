"""Durable deliveries: what a handler may say of an event, and what is kept with its end.

A subscription with a durable name is given each event again until it is done with it. It is done
when the handler returns (or the consumer asks for the next); by raising, a handler says that it
is not.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from loom_kernel import Envelope, LoomError


class Retry(LoomError):
    """Deliver this event again, after *delay* seconds (less than 0 = the usual back-off)."""

    def __init__(self, reason: str = "", delay: float = -1.0) -> None:
        super().__init__(reason or "its handler wants it again")
        self.delay = delay


class Reject(LoomError):
    """Never deliver this event again: nobody can handle it. It becomes a dead letter."""


class HandlerTimeout(LoomError):
    """A handler took longer for one event than it may."""

    def __init__(self, subscription: str, seconds: float) -> None:
        super().__init__(
            f"{subscription!r} was not done with an event within {seconds:g} s and was cancelled; "
            "allow it more, or let it do less"
        )
        self.subscription = subscription
        self.seconds = seconds


class Journal(Protocol):
    """What a journal does for those who consume durably; `None` of it without one."""

    @property
    def generation(self) -> str:
        """Changes when what was loaded may not be what is kept any more: load it again."""
        ...

    async def load(self, owner: str) -> bytes:
        """What *owner* knew when it was last done with an event, as JSON; empty if it is new.

        Raises:
            LoomError: it cannot be read; do not go on without it.
        """
        ...

    def keep(self, owner: str, state: bytes, event: Envelope) -> Awaitable[None]:
        """*owner* knows *state* (JSON) from now on.

        If *event* was delivered durably, it is written in one transaction with the end of its
        handling, and not at all if that does not end well; else it is on the disk when the result
        is there. The order of calls is kept, whether or not anybody waits.

        Raises:
            LoomError: it is too long, or cannot be written.
        """
        ...

    def abandon(self, name: str) -> None:
        """Keep no more events for the durable *name*; nothing happens if somebody consumes."""
        ...
