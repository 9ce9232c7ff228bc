"""gRPC: sessions and the plain pub/sub service, on a Unix socket and on TCP if asked for."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import grpc
import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]  # it has no marker
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # the same
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_status import rpc_status
from loom.bridge import BridgeError, Carrier, Peer, ProtocolError, messages
from loom.bridge.carriers.grpc import (
    CODES,
    GREETING,
    PACKED,
    SLACK,
    GrpcCarrier,
    decode_client,
    encode_server,
    is_loopback,
    pack,
)
from loom.sockets import reachable
from loom_kernel import ConfigError, Host, LoomError, private_dir
from loom_proto import bridge_pb2, pubsub_pb2

from loom_plugin_bridge.carriers.reflection import Reflection
from loom_plugin_bridge.carriers.threads import giving_way

SESSIONS: str = bridge_pb2.DESCRIPTOR.services_by_name["BridgeService"].full_name
EVENTS: str = pubsub_pb2.DESCRIPTOR.services_by_name["EventBusService"].full_name
FIRST_FRAME = 64 << 10
"""Bytes of the longest frame before the session is open."""
WAITING = 64
"""Streams whose first frame may be on its way at once: gRPC holds each up to `max_frame`."""
STREAMS = 128
"""Calls of one connection at once; with many more, opening and resetting them costs others."""
GRACE = 2.0
"""Seconds that calls have to end when the listener closes."""

Handlers = dict[str, "grpc.RpcMethodHandler[Any, Any]"]
"""By method; they take and give bytes."""


class Door(Protocol):
    """Who answers a new connection."""

    def answer(
        self, carrier: Carrier, origin: str, token: str = ""
    ) -> Peer[messages.ClientFrame, messages.ServerFrame]: ...


class GrpcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and how."""

    path: Path | None = None
    """A Unix socket, in a folder that is its owner's alone."""
    tcp: str = ""
    """host:port; port 0 = any that is free, see `GrpcListener.port`."""
    public: bool = False
    """Whether *tcp* may be reachable from other machines; then with TLS only."""
    certificate: Path | None = None
    key: Path | None = None
    """PEM; both = TLS on *tcp*."""
    reflection: bool = True
    max_frame: int = 4 << 20
    """Bytes."""


class GrpcListener:
    """Listens from `start` until `aclose`. *events* are the handlers of EventBusService.

    *more* answers the calls of other services, of which `tell` says that they are there.
    """

    def __init__(
        self, host: Host, door: Door, settings: GrpcSettings, events: Handlers | None = None,
        more: grpc.GenericRpcHandler | None = None,
    ) -> None:  # fmt: skip
        self.port = 0
        """The TCP port, once it is known."""
        self._host = host
        self._door = door
        self._settings = settings
        self._events = events or {}
        self._more = more
        self._own: list[str] = []
        self._others: set[str] = set()
        self._reflection: Reflection | None = None
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._stack = ExitStack()
        self._waiting = 0

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the addresses or files do not fit together.
            LoomError: an address cannot be listened on.
        """
        with giving_way():
            await self._serve()

    async def _serve(self) -> None:
        self._server = server = grpc.aio.server(options=_options(self._settings.max_frame))
        session: Any = grpc.stream_stream_rpc_method_handler(self._session)
        services: dict[str, Handlers] = {SESSIONS: {"Session": session}}
        if self._events:
            services[EVENTS] = self._events
        for name, handlers in services.items():
            generic = grpc.method_handlers_generic_handler(name, handlers)
            server.add_generic_rpc_handlers((generic,))
        if self._more is not None:
            server.add_generic_rpc_handlers((self._more,))
        self._own = list(services)
        await self._add_signs(server)
        try:
            self._listen(server)
        except BaseException:
            await self.aclose()
            raise
        await server.start()

    async def _add_signs(self, server: grpc.aio.Server) -> None:
        """Health for every service, and reflection if it is wanted."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        for name in ["", *self._own]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if self._settings.reflection:
            self._reflection = Reflection([*self._own, *sorted(self._others)])
            add: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
            add(self._reflection, server)

    async def tell(self, others: list[str]) -> None:
        """These other services are there now."""
        if self._reflection is not None:
            self._reflection.replace([*self._own, *others])
        for name in self._others - set(others):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        for name in set(others) - self._others:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._others = set(others)

    def _listen(self, server: grpc.aio.Server) -> None:
        if self._settings.path is not None:
            self._listen_on_socket(server, self._settings.path)
        if self._settings.tcp:
            self._listen_on_tcp(server)

    def _listen_on_socket(self, server: grpc.aio.Server, path: Path) -> None:
        private_dir(path.parent)  # bridges the moment before the socket's own mode is set
        if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
            raise LoomError(f"{path} is in the way of the bridge's socket; remove it")
        name = self._stack.enter_context(reachable(path))
        self._stack.callback(path.unlink, missing_ok=True)
        _add_port(server, f"unix:{quote(name)}", str(path), None)
        path.chmod(0o600)

    def _listen_on_tcp(self, server: grpc.aio.Server) -> None:
        settings = self._settings
        host, _, port = settings.tcp.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"{settings.tcp!r} is no host:port, e.g. 127.0.0.1:7450")
        credentials = _credentials(settings)
        if not is_loopback(host.strip("[]")):
            if not settings.public:
                raise ConfigError(f"{host} is reachable from other machines; set public = true too")
            if credentials is None:
                raise ConfigError(f"{host} needs tls_certificate and tls_key")
        self.port = _add_port(server, settings.tcp, settings.tcp, credentials)

    async def aclose(self) -> None:
        """Listen no more, and end what still runs after a moment of grace."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(GRACE)
        with self._stack:
            self._server = None

    # -- BridgeService -----------------------------------------------------------------------

    async def _session(self, _: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.send_initial_metadata(
            (GREETING,)
        )  # who waits for headers first is not kept waiting
        metadata = list(context.invocation_metadata() or ())
        encode = pack if PACKED in metadata else encode_server
        if self._waiting >= WAITING:
            refusal = ProtocolError("RESOURCE_EXHAUSTED", "too many streams wait to be let in")
            set_status(context, refusal)
            return
        self._waiting += 1
        carrier = _Waiting(self, context, encode)
        try:
            peer = self._door.answer(carrier, origin_of(context), token_of(context))
            await carrier.run(peer)
        except BridgeError as error:
            set_status(context, error)
        except Exception as error:  # ours, not the client's: the log has it, the client a code
            self._host.log.exception("a session's connection failed")
            self._host.tell_error("ACTION_ERROR", error)
            set_status(context, BridgeError("INTERNAL", "the connection failed at the server"))
        finally:
            carrier.greet()
        if carrier.failure is not None:
            failure = carrier.failure
            set_status(context, BridgeError(failure.code, failure.message), failure.details)

    def greeted(self) -> None:
        """One stream less waits for its first frame."""
        self._waiting -= 1


class _Waiting(GrpcCarrier):
    """A server's end of a stream; it counts as waiting until its first frame has come."""

    def __init__(self, listener: GrpcListener, context: Any, encode: Any) -> None:
        super().__init__(context, encode, self._decode_first, limit=FIRST_FRAME)
        self._listener: GrpcListener | None = listener

    def _decode_first(self, body: bytes) -> messages.ClientFrame:
        self.greet()
        self._decode = decode_client
        return decode_client(body)

    def greet(self) -> None:
        """It waits no longer."""
        if self._listener is not None:
            self._listener.greeted()
            self._listener = None


def origin_of(context: Any) -> str:
    """Where a call comes from: `unix`, or the address of the other machine."""
    peer = str(context.peer())
    return "unix" if peer.startswith("unix") else peer.rpartition(":")[0]


def token_of(context: Any) -> str:
    """The bearer token among a call's metadata; empty if there is none, or more than one."""
    metadata = context.invocation_metadata() or ()
    said = [value for name, value in metadata if name == "authorization"]
    value = said[0] if len(said) == 1 else ""
    return value[7:].strip() if isinstance(value, str) and value[:7].lower() == "bearer " else ""


def set_status(context: Any, error: BridgeError, details: Mapping[str, str] = {}) -> None:
    """Let the call end with *error*, as a google.rpc.Status among the trailing metadata too."""
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason=error.code, domain="loom", metadata=details))
    status = Status(code=CODES[error.code], message=error.message, details=[detail])
    said = rpc_status.to_status(status)
    context.set_code(said.code)
    context.set_details(said.details)
    context.set_trailing_metadata(said.trailing_metadata)


def _options(max_frame: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", max_frame + SLACK),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.server_handshake_timeout_ms", 5_000),
        ("grpc.max_connection_idle_ms", 60_000),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.server.max_pending_requests", 10_000),
        ("grpc.server.max_pending_requests_hard_limit", 20_000),
    ]


def _credentials(settings: GrpcSettings) -> grpc.ServerCredentials | None:
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise ConfigError("tls_certificate and tls_key go together; one is missing")
    try:
        pair = settings.key.read_bytes(), settings.certificate.read_bytes()
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from error
    return grpc.ssl_server_credentials([pair])


def _add_port(
    server: grpc.aio.Server, address: str, name: str, credentials: grpc.ServerCredentials | None
) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise LoomError(f"cannot listen on {name}: {error}") from error
