"""What moves frames between the two ends of a session, and what it moves them for."""

from __future__ import annotations

from typing import Protocol, TypeVar

from loom.bridge.errors import ProtocolError

Incoming = TypeVar("Incoming", contravariant=True)
Outgoing = TypeVar("Outgoing", covariant=True)


class Carrier(Protocol):
    """One connection.

    It writes one frame at a time and takes the next when that is done, so that each frame holds
    what gathered while the one before was written.
    """

    limit: int
    """The longest frame that is taken in and sent, in bytes."""

    def wake(self) -> None:
        """There is something to take: take it as soon as it can be written."""
        ...

    def pause(self) -> None:
        """Read no more until `resume`; the other end will feel it."""
        ...

    def resume(self) -> None:
        """Go on reading."""
        ...

    def close(self) -> None:
        """Write what can still be taken, then end; `Peer.lost` is not called any more."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...

    async def wait_closed(self) -> None:
        """Wait until nothing of the connection is left."""
        return


class Peer(Protocol[Incoming, Outgoing]):
    """One end of a session, as its carrier sees it. Nothing here waits."""

    def received(self, frame: Incoming) -> None:
        """Take in one whole frame.

        Raises:
            ProtocolError: it breaks the protocol; the carrier calls `failed` and closes.
        """
        ...

    def failed(self, error: ProtocolError) -> None:
        """What came cannot be understood, or breaks the protocol: say so with the last frame."""
        ...

    def take(self) -> Outgoing | None:
        """The next frame to write; None = there is nothing now, `Carrier.wake` will tell."""
        ...

    def lost(self, reason: str) -> None:
        """The connection is over, and this end did not close it."""
        ...
