"""Frames over WebSocket: each is one message of JSON, see `loom.bridge.text`."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from loom_kernel import LoomError
from websockets.asyncio.client import connect as dial
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from loom.bridge.address import Address
from loom.bridge.carrier import Carrier, Peer
from loom.bridge.codec import encoded
from loom.bridge.errors import BridgeError, Disconnected, ProtocolError, Refused
from loom.bridge.messages import Failure, FailureCode
from loom.bridge.text import decode_server, encode_client
from loom.sockets import reachable

__all__ = [
    "FAREWELL",
    "PATH",
    "SUBPROTOCOL",
    "ClientCarrier",
    "WebSocketCarrier",
    "connect",
    "is_loopback",
]

PATH = "/bridge"
SUBPROTOCOL = "loom.v1"
LONGEST_FRAME = 4 << 20
LONGEST_REASON = 120
"""Bytes of a reason that fit into WebSocket's last frame, which holds 125 with the code."""
FAREWELL = 2.0
"""Seconds that a connection which is being closed has for what is still to be written."""
PATIENCE = 10.0
"""Seconds that opening a connection may take."""
NORMAL, GOING_AWAY, REFUSED = 1000, 1001, 1008
"""Codes with which WebSocket connections are closed (RFC 6455, 7.4.1)."""
_REFUSALS: dict[int, FailureCode] = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}


class WebSocketCarrier(Carrier):
    """One end of a connection, for as long as `run` runs."""

    def __init__(
        self,
        connection: Connection,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        *,
        limit: int,
    ) -> None:
        self._connection = connection
        self._encode = encode
        self._decode = decode
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._due = asyncio.Event()
        self._is_closing = self._is_over = False
        self._failure: Failure | None = None
        self._reason = "the connection was cut"
        self._deadline: asyncio.TimerHandle | None = None
        self.limit = limit

    # -- Carrier -----------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """The longest frame that is taken in and sent, in bytes."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = self._connection.protocol.max_message_size = limit

    def wake(self) -> None:
        self._due.set()

    def pause(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._may_read.set()
            self._due.set()
            self._deadline = asyncio.get_running_loop().call_later(FAREWELL, self.abort)

    def abort(self) -> None:
        self._is_closing = self._is_over = True
        self._may_read.set()
        self._due.set()
        self._connection.transport.abort()

    # -- moving frames -----------------------------------------------------------------------

    async def run(self, peer: Peer[Any, Any]) -> None:
        """Move frames until the connection is over; tell *peer* if it was not this end's doing."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(peer), name="websocket/read")
                group.create_task(self._write(peer), name="websocket/write")
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
            was_closing, self._is_closing = self._is_closing, True
            if not was_closing:
                peer.lost(self._reason)

    async def _read(self, peer: Peer[Any, Any]) -> None:
        try:
            while True:
                body = await self._connection.recv(decode=False)
                if not self._may_read.is_set():
                    await self._may_read.wait()
                if not self._is_closing:  # else it is read so that the other end can close too
                    self._take_in(peer, body)
        except ConnectionClosed as error:
            self._reason = _reason_of(error)
        finally:
            self._is_over = True
            self._due.set()

    def _take_in(self, peer: Peer[Any, Any], body: bytes) -> None:
        try:
            peer.received(self._decode(body))
        except ProtocolError as error:
            peer.failed(error)
            self.close()

    async def _write(self, peer: Peer[Any, Any]) -> None:
        try:
            while not self._is_over:
                self._due.clear()
                await self._write_all(peer)
                if self._is_closing:
                    await self._connection.close(*self._last_words())
                    return
                await self._due.wait()
        except ConnectionClosed:
            return

    async def _write_all(self, peer: Peer[Any, Any]) -> None:
        try:
            while not self._is_over and (frame := peer.take()) is not None:
                for body in encoded(frame, self._encode, self._limit):
                    await self._connection.send(body, text=True)
                last = frame.messages[-1] if frame.messages else None
                if type(last) is Failure and last.fatal:
                    self._failure = last
        except ProtocolError as error:
            peer.failed(error)
            self.close()
            self._due.set()

    def _last_words(self) -> tuple[int, str]:
        """The code and the reason with which to close."""
        if self._failure is None:
            return NORMAL, ""
        code = GOING_AWAY if self._failure.code == "UNAVAILABLE" else REFUSED
        reason = f"{self._failure.code}: {self._failure.message}".encode()[:LONGEST_REASON]
        return code, reason.decode(errors="ignore")


class ClientCarrier(WebSocketCarrier):
    """A client's end."""

    def start(self, peer: Peer[Any, Any]) -> None:
        """Begin to move frames; the task ends with the connection, see `wait_closed`."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self.run(peer), name="loom.bridge/websocket")

    async def wait_closed(self) -> None:
        """Wait until nothing of the connection is left."""
        await asyncio.wait([self._task])


async def connect(where: Address, peer: Peer[Any, Any], *, ca_file: str = "") -> ClientCarrier:
    """Connect *peer* to the server at *where* (ws, wss, ws+unix).

    With wss the server's certificate must come from *ca_file*, else from the file that
    `LOOM_CA_FILE` names, else from an authority that the system trusts.

    Raises:
        OSError: nobody listens there.
        Refused: somebody does, and does not want this connection.
        Disconnected: somebody does, who does not speak this protocol.
        LoomError: the token would travel in clear text.
    """
    options: dict[str, Any] = {}
    if where.scheme == "wss":
        options["ssl"] = _context(ca_file or os.environ.get("LOOM_CA_FILE", ""))
    elif not where.is_local and not is_loopback(where.host):
        raise LoomError(f"{where} is another machine, and the token would be readable: use wss://")
    try:
        connection = await _open(where, options)
    except InvalidStatus as error:
        raise _refusal(where, error) from None
    except (InvalidHandshake, TimeoutError) as error:
        raise Disconnected("UNAVAILABLE", f"{where}: {error}") from None
    carrier = ClientCarrier(connection, encode_client, decode_server, limit=LONGEST_FRAME)
    carrier.start(peer)
    return carrier


class _Dial(dial):
    """Goes where it is told to: who holds a token follows no redirection."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def _context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=Path(ca_file).expanduser() if ca_file else None)


async def _open(where: Address, options: dict[str, Any]) -> Connection:
    options |= {
        "compression": None,
        "subprotocols": [SUBPROTOCOL],
        "proxy": None,
        "user_agent_header": None,
        "open_timeout": PATIENCE,
        "close_timeout": FAREWELL,
        "ping_interval": None,  # a session has heartbeats of its own
        "max_size": LONGEST_FRAME,
        "max_queue": (1, 0),
    }
    if where.is_local:
        with reachable(Path(where.path)) as name:
            return await _Dial(f"ws://localhost{PATH}", unix=True, path=name, **options)
    host = f"[{where.host}]" if ":" in where.host else where.host
    return await _Dial(f"{where.scheme}://{host}:{where.port}{PATH}", **options)


def _refusal(where: Address, error: InvalidStatus) -> BridgeError:
    status = error.response.status_code
    said = error.response.body.decode("utf-8", "replace").strip()[:500]
    reason = f"{where} answers with {status}: {said or 'no reason was given'}"
    if status in _REFUSALS:
        return Refused(_REFUSALS[status], reason)
    return Disconnected("UNAVAILABLE", reason)


def _reason_of(error: ConnectionClosed) -> str:
    """What a connection ended with, for people."""
    last = error.rcvd or error.sent
    if last is None:
        return "the connection was cut"
    return f"closed with {last.code}" + (f": {last.reason}" if last.reason else "")


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine, whatever a name server says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
