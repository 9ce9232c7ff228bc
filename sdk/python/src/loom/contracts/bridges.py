"""The bridge as a service: the way in for processes that the runtime itself starts."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Ticket(msgspec.Struct, frozen=True):
    """A way into the runtime for one child process; it is in memory only."""

    address: str
    """See `loom.bridge.parse_address`."""
    token: str
    """Secret; hand it over where nobody else can read it."""

    def __repr__(self) -> str:
        return f"Ticket(address={self.address!r})"


class Bridge(Protocol):
    """Lets other processes join the runtime; provided once the bridge listens."""

    def issue(self, name: str, *, agents: tuple[str, ...] = ("*",)) -> Ticket:
        """A way in for a process that acts as *agents* (patterns of ids).

        *name* is what the directory calls their origin. The ticket holds for any number of
        connections, one after the other, until it is withdrawn.
        """
        ...

    def withdraw(self, name: str) -> None:
        """End what was issued under *name*, and the sessions that came with it."""
        ...
