"""Frames on a stream socket, each after its length: 4 bytes, big-endian."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loom.bridge.carrier import Carrier, Peer
from loom.bridge.codec import decode_client, decode_server, encode, encoded
from loom.bridge.errors import ProtocolError
from loom.sockets import reachable

_LENGTH = struct.Struct(">I")
FIRST_FRAME = 64 << 10
"""Bytes of the longest frame before the session is open."""
READ = 64 << 10
"""Bytes that are read at once: enough for a batch, few enough that others get their turn."""

Answer = Callable[["FramesCarrier"], Peer[Any, Any]]


class FramesCarrier(asyncio.BufferedProtocol, Carrier):
    """One end of the socket. *limit* is the longest frame that is taken and sent, in bytes.

    An eager one writes when it is woken; else what is said in one turn of the loop goes together.
    """

    def __init__(
        self,
        answer: Answer,
        decode: Callable[[bytes | memoryview], Any],
        *,
        limit: int,
        is_eager: bool = False,
    ) -> None:
        self.limit = limit
        self._answer = answer
        self._decode = decode
        self._peer: Peer[Any, Any] | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(READ)
        self._begin = self._end = 0
        self._closed = asyncio.Event()
        self._is_eager, self._is_reading = is_eager, False
        self._is_due = self._is_full = self._is_closing = self._is_paused = False

    # -- Carrier -----------------------------------------------------------------------------

    def wake(self) -> None:
        if self._is_due or self._is_full:
            return
        if self._is_eager and not self._is_reading:
            self._flush()
        else:
            self._is_due = True
            self._loop.call_soon(self._flush)

    def pause(self) -> None:
        if self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self._is_paused and not self._is_closing:
            self._is_paused = False
            self._transport.resume_reading()
            if self._begin < self._end:
                self._loop.call_soon(self._read)

    def close(self) -> None:
        if self._is_closing or self._transport is None:
            return
        self._is_full = False
        self._flush()
        self._is_closing = True
        self._transport.close()

    def abort(self) -> None:
        """End at once, whatever is still to be written."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        await self._closed.wait()

    # -- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask who is at this end."""
        self._transport = transport  # type: ignore[assignment]  # of a stream socket
        self._peer = self._answer(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport may put what comes."""
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what came."""
        self._end += nbytes
        self._read()

    def _read(self) -> None:
        """Hand over the whole frames that are there, and make room for the rest of the next."""
        needed = 4
        self._is_reading = True
        try:
            while not (self._is_paused or self._is_closing):
                needed = self._frame_length()
                if self._end - self._begin < needed:
                    break
                begin = self._begin + 4
                self._begin += needed
                with memoryview(self._buffer)[begin : self._begin] as body:
                    self._hand_over(body)
        except ProtocolError as error:
            self._fail(error)
        finally:
            self._is_reading = False
        self._make_room(needed)

    def _frame_length(self) -> int:
        """Bytes of the frame that begins here, its length included."""
        if self._end - self._begin < 4:
            return 4
        (length,) = _LENGTH.unpack_from(self._buffer, self._begin)
        if length > self.limit:
            raise ProtocolError(
                "RESOURCE_EXHAUSTED", f"a frame of {length} bytes; at most {self.limit}"
            )
        return int(length) + 4

    def _make_room(self, needed: int) -> None:
        """Let the buffer begin with what is left, and hold at least the next frame."""
        left = self._end - self._begin
        if not self._begin and needed <= len(self._buffer) > left:
            return
        rest = self._buffer[self._begin : self._end]
        if len(self._buffer) != (size := max(READ, needed, left + 1)):
            self._buffer = bytearray(size)
        self._buffer[:left] = rest
        self._begin, self._end = 0, left

    def _hand_over(self, body: memoryview) -> None:
        if self._peer is not None:
            self._peer.received(self._decode(body))

    def _fail(self, error: ProtocolError) -> None:
        if self._peer is not None:
            self._peer.failed(error)
        self.close()

    def pause_writing(self) -> None:
        """The socket takes no more for now: what gathers goes with the next frame."""
        self._is_full = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._is_full = False
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the peer, unless it was this end that closed."""
        was_closing, self._is_closing = self._is_closing, True
        self._closed.set()
        if self._peer is not None and not was_closing:
            self._peer.lost(str(exc) if exc else "the other end closed the connection")

    def _flush(self) -> None:
        self._is_due = False
        if self._is_closing or self._transport is None or self._peer is None:
            return
        try:
            while not self._is_full and (frame := self._peer.take()) is not None:
                for body in encoded(frame, encode, self.limit):
                    self._transport.write(_LENGTH.pack(len(body)) + body)
        except ProtocolError as error:
            self._fail(error)


async def connect(path: Path, peer: Peer[Any, Any], *, limit: int) -> FramesCarrier:
    """Connect *peer* to whoever listens on *path*.

    Raises:
        OSError: nobody does.
    """
    loop = asyncio.get_running_loop()
    with reachable(path) as name:
        _, carrier = await loop.create_unix_connection(
            lambda: FramesCarrier(lambda _: peer, decode_server, limit=limit), name
        )
    return carrier


def server_side(answer: Answer) -> FramesCarrier:
    """What a listener makes for each connection; whoever answers raises its `limit` later."""
    return FramesCarrier(answer, decode_client, limit=FIRST_FRAME, is_eager=True)
