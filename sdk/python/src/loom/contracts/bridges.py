"""The bridge as a service: the way in for processes that the runtime itself starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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


class RemoteMethod(msgspec.Struct, frozen=True):
    """One call of a gRPC service, from a request to an answer."""

    topic: str
    """A client may make the call if it may publish there."""
    answer: Callable[[str, bytes], Awaitable[bytes]]
    """Called with the name of the client and the request, as Protocol Buffers.

    A `loom.bridge.BridgeError` is the call's status; any other `LoomError` is INVALID_ARGUMENT.
    """


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

    def serve(
        self, service: str, methods: Mapping[str, RemoteMethod], code: str
    ) -> Callable[[], None]:
        """Answer calls of the gRPC service *service* (`loom.area.v1.NameService`); how to end it.

        A client proves who it is as for the other services, by its token. *code* is the module
        of generated code that describes it to clients that ask; it is imported when gRPC starts.

        Raises:
            LoomError: somebody serves it already.
        """
        ...
