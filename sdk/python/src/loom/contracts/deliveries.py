"""Durable deliveries: what a handler may say of an event, and what is kept with its end.

A subscription with a durable name is given each event again until it is done with it. It is done
when the handler returns (or the consumer asks for the next); by raising, a handler says that it
is not.
"""

from __future__ import annotations

from typing import Any, Protocol

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


class States(Protocol):
    """What agents know, on the disk: it becomes true together with the end of an event."""

    async def load(self, owner: str) -> dict[str, Any]:
        """What *owner* knew when it was last done with an event; nothing if it is new.

        Raises:
            LoomError: it cannot be read; do not go on without it.
        """
        ...

    async def save(self, owner: str, state: dict[str, Any], event: Envelope | None) -> None:
        """*owner* knows *state* from now on.

        If *event* was delivered durably, it is written in one transaction with the end of its
        handling, and not at all if it does not end well; else it is on the disk when this returns.

        Raises:
            LoomError: it has no JSON form, is too long, or cannot be written.
        """
        ...

    async def is_new(self, owner: str, key: str, event: Envelope | None) -> bool:
        """Whether *owner* marks *key* for the first time; the mark is kept as a state is."""
        ...
