"""Frames on a gRPC stream: each is one message of `loom/bridge/v1/bridge.proto`.

`connect` is for clients. Whoever serves takes `GrpcCarrier` for each stream, and the codec.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import grpc
from loom_kernel import LoomError

from loom.bridge.address import Address
from loom.bridge.carrier import Carrier, Peer
from loom.bridge.codec import encoded
from loom.bridge.errors import Disconnected, ProtocolError
from loom.bridge.messages import PROTOCOL, Failure
from loom.bridge.protobuf import (
    CODES,
    QOS_NAMES,
    decode_client,
    decode_server,
    encode_client,
    encode_server,
    is_packed,
    pack,
    read_fields,
)
from loom.bridge.protobuf_events import read_event, write_event
from loom.bridge.stream import BATCH
from loom.sockets import reachable

__all__ = [
    "CODES",
    "GREETING",
    "METHOD",
    "PACKED",
    "QOS_NAMES",
    "SLACK",
    "ClientCarrier",
    "GrpcCarrier",
    "connect",
    "decode_client",
    "decode_server",
    "encode_client",
    "encode_server",
    "is_loopback",
    "is_packed",
    "pack",
    "read_event",
    "read_fields",
    "write_event",
]

log = logging.getLogger("loom.bridge")

METHOD = "/loom.bridge.v1.BridgeService/Session"
LONGEST_FRAME = 4 << 20
FAREWELL = 2.0
"""Seconds that a connection which is being closed has for what is still to be written."""
BUSY = 16
"""Messages in a frame from which on there is a stream of them; fewer leave at once."""
GATHER = 0.001
"""Seconds for which a busy stream gathers: a write costs gRPC as much as a hundred messages."""
SLACK = 1024
"""Bytes by which gRPC's own limit is above ours, so that it is ours that answers."""
GREETING = ("loom-protocol", str(PROTOCOL))
"""Metadata of every server that speaks it, sent at once."""
PACKED = ("loom-frames", "packed")
"""Metadata of a client that reads packed frames."""

_CUT = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What reading and writing raise once the stream is over."""


class Line(Protocol):
    """The stream itself: a client's call, or the context of a server's."""

    def read(self) -> Awaitable[Any]: ...
    def write(self, message: Any) -> Awaitable[None]: ...


class GrpcCarrier(Carrier):
    """One end of a stream, for as long as `run` runs.

    It may be told to `close` before that, and then only writes what its peer still has to say.
    """

    def __init__(
        self,
        line: Line,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        *,
        limit: int,
    ) -> None:
        self.limit = limit
        self.encode = encode
        self.failure: Failure | None = None
        """The fatal failure that was said last."""
        self._line = line
        self._decode = decode
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._due = asyncio.Event()
        self._is_closing = False
        self._is_finishing = False
        self._reason = "the connection was cut"
        self._tasks: list[asyncio.Task[None]] = []
        self._deadline: asyncio.TimerHandle | None = None

    # -- Carrier -----------------------------------------------------------------------------

    def wake(self) -> None:
        self._due.set()

    def pause(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._finish()

    def abort(self) -> None:
        self._is_closing = True
        self._cancel()

    # -- moving frames -----------------------------------------------------------------------

    async def run(self, peer: Peer[Any, Any]) -> None:
        """Move frames until the stream is over; tell *peer* if it was not this end's doing."""
        try:
            async with asyncio.TaskGroup() as group:
                if not self._is_closing:
                    self._tasks.append(group.create_task(self._read(peer), name="grpc/read"))
                self._tasks.append(group.create_task(self._write(peer), name="grpc/write"))
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
            was_closing, self._is_closing = self._is_closing, True
            if not was_closing:
                peer.lost(self._reason)

    async def _read(self, peer: Peer[Any, Any]) -> None:
        try:
            while (body := await self._line.read()) is not grpc.aio.EOF:
                if not self._may_read.is_set():
                    await self._may_read.wait()
                if not self._is_closing:
                    self._take_in(peer, body)
                if not self._may_read.is_set():
                    await self._may_read.wait()
            self._reason = "the other end closed the stream"
            self._finish()  # it may still read
        except ProtocolError as error:
            peer.failed(error)
            self.close()
        except _CUT as error:
            self._reason = reason_of(error)
            for writing in self._tasks[1:]:
                writing.cancel()

    def _take_in(self, peer: Peer[Any, Any], body: bytes) -> None:
        if len(body) > self.limit:
            raise ProtocolError(
                "RESOURCE_EXHAUSTED", f"a frame of {len(body)} bytes; at most {self.limit}"
            )
        peer.received(self._decode(body))

    async def _write(self, peer: Peer[Any, Any]) -> None:
        while True:
            try:
                if not await self._write_all(peer):
                    await self._end()
                    return
            except ProtocolError as error:
                peer.failed(error)
                self.close()
            except _CUT as error:
                if not self._is_finishing:
                    self._reason = reason_of(error)
                for reading in self._tasks[:1]:
                    reading.cancel()
                return

    async def _write_all(self, peer: Peer[Any, Any]) -> bool:
        """Write what there is, wait until there may be more; False = nothing will be."""
        self._due.clear()
        while (frame := peer.take()) is not None:
            for body in encoded(frame, self.encode, self.limit):
                await self._line.write(body)
            last = frame.messages[-1] if frame.messages else None
            if type(last) is Failure and last.fatal:
                self.failure = last
            if BUSY <= len(frame.messages) < BATCH and not self._is_finishing:
                await asyncio.sleep(GATHER)
        if self._is_finishing:
            return False
        await self._due.wait()
        return True

    def _finish(self) -> None:
        """Let all be written that there is to say now, within a bound, and then end."""
        if not self._is_finishing:
            self._is_finishing = True
            self._due.set()
            self._may_read.set()
            self._deadline = asyncio.get_running_loop().call_later(FAREWELL, self._cancel)

    def _cancel(self) -> None:
        self._is_finishing = True
        self._due.set()
        for task in self._tasks:
            task.cancel()

    async def _end(self) -> None:
        """All was written: a server's stream ends when its handler does."""
        for reading in self._tasks[:-1]:
            reading.cancel()


class ClientCarrier(GrpcCarrier):
    """A client's end, with the channel that is its own."""

    def __init__(self, call: Any, channel: grpc.aio.Channel, stack: ExitStack, limit: int) -> None:
        super().__init__(call, encode_client, self._decode_and_learn, limit=limit)
        self._call = call
        self._channel = channel
        self._stack = stack
        self._task: asyncio.Task[None] | None = None

    def _decode_and_learn(self, body: bytes) -> Any:
        if is_packed(body):
            self.encode = pack  # who packs can unpack
            self._decode = decode_server
        return decode_server(body)

    def start(self, peer: Peer[Any, Any]) -> None:
        """Begin to move frames; the task ends with the connection, see `wait_closed`."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._serve(peer), name="loom.bridge/grpc")

    async def wait_closed(self) -> None:
        """Wait until nothing of the connection is left."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _serve(self, peer: Peer[Any, Any]) -> None:
        try:
            await self.run(peer)
        except Exception:  # of this end; `lost` was told, and the next connection may do better
            log.exception("a connection failed")
        finally:
            with self._stack:
                await self._channel.close()

    async def _end(self) -> None:
        """All was written: the server ends the stream, and until then reads what is on its way.

        To cancel a read would cancel the call, and drop what the server has not read yet.
        """
        await self._call.done_writing()


def reason_of(error: BaseException) -> str:
    """What a stream ended with, for people."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details() or 'no reason was given'}"
    return str(error) or type(error).__name__


async def connect(
    where: Address, peer: Peer[Any, Any], *, token: str = "", ca_file: str = ""
) -> ClientCarrier:
    """Connect *peer* to the server at *where* (grpc, grpcs, grpc+unix).

    With grpcs the server's certificate must come from *ca_file*, else from the file that
    `LOOM_CA_FILE` names, else from an authority that gRPC trusts.

    Raises:
        OSError: nobody listens there.
        Disconnected: somebody does, who does not speak this protocol.
        LoomError: the token would travel in clear text.
    """
    stack = ExitStack()
    channel = _channel(where, ca_file or os.environ.get("LOOM_CA_FILE", ""), stack)
    metadata = [PACKED]
    if (
        token and token.isascii() and token.isprintable()
    ):  # no header may hold another; the hello does
        metadata.append(("authorization", f"Bearer {token}"))
    try:
        call: Any = channel.stream_stream(METHOD)(metadata=metadata)  # bytes, each way
        await _wait_greeting(where, call)
    except BaseException:
        with stack:
            await channel.close()
        raise
    carrier = ClientCarrier(call, channel, stack, LONGEST_FRAME)
    carrier.start(peer)
    return carrier


async def _wait_greeting(where: Address, call: Any) -> None:
    try:
        await call.wait_for_connection()
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            raise ConnectionError(error.details()) from None
        raise Disconnected("UNAVAILABLE", f"{where}: {reason_of(error)}") from None
    if GREETING not in list(await call.initial_metadata()):
        call.cancel()
        raise Disconnected("UNAVAILABLE", f"{where} is no bridge that speaks protocol {PROTOCOL}")


def _channel(where: Address, ca_file: str, stack: ExitStack) -> grpc.aio.Channel:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", LONGEST_FRAME + SLACK),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
    if where.is_local:
        name = stack.enter_context(reachable(Path(where.path)))
        options.append(("grpc.default_authority", "localhost"))
        return grpc.aio.insecure_channel(f"unix:{quote(name)}", options=options)
    host = f"[{where.host}]" if ":" in where.host else where.host
    if where.scheme == "grpcs":
        roots = Path(ca_file).expanduser().read_bytes() if ca_file else None
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
        return grpc.aio.secure_channel(f"{host}:{where.port}", credentials, options=options)
    if not is_loopback(where.host):
        raise LoomError(
            f"{where} is another machine, and the token would be readable: use grpcs://"
        )
    return grpc.aio.insecure_channel(f"{host}:{where.port}", options=options)


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine, whatever a name server says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
