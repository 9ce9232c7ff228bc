"""WebSocket: sessions for browsers and scripts, on a Unix socket and on TCP if asked for."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec
from loom.bridge import Carrier, Peer, messages
from loom.bridge.carriers.websocket import (
    FAREWELL,
    PATH,
    SUBPROTOCOL,
    WebSocketCarrier,
    is_loopback,
)
from loom.bridge.text import decode_client, encode_server
from loom_kernel import ConfigError, LoomError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from loom_plugin_bridge.listener import listen

FIRST_FRAME = 64 << 10
"""Bytes of the longest frame before the session is open."""
LONGEST_REQUEST = 16 << 10
"""Bytes of the request that opens a connection."""
GREETING = 256
"""Connections that may be without their request at once."""
BACKLOG = 512
SECRETS = ("token", "access_token", "key")
"""What some would put into an address, where proxies and histories keep it."""

WRONG_ORIGIN = "pages of this Origin may not connect; list it in origins of [plugins.bridge]"
TOKEN_IN_ADDRESS = (
    "a token in an address ends up in logs and histories, so it is not taken: "
    "revoke it, and say the new one in the hello message or in the Authorization header"
)


class Door(Protocol):
    """Who answers a new connection."""

    def answer(
        self, carrier: Carrier, origin: str, token: str = ""
    ) -> Peer[messages.ClientFrame, messages.ServerFrame]: ...


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and to whom."""

    path: Path | None = None
    """A Unix socket, in a folder that is its owner's alone."""
    tcp: str = ""
    """host:port; port 0 = any that is free, see `WebSocketListener.port`."""
    public: bool = False
    """Whether *tcp* may be reachable from other machines; then with TLS only."""
    certificate: Path | None = None
    key: Path | None = None
    """PEM; both = TLS on *tcp*."""
    origins: tuple[str, ...] = ()
    """Web origins whose pages may connect, e.g. `http://127.0.0.1:8080`."""
    handshake: float = 5.0
    """Seconds that a connection has to send its request."""


class WebSocketListener:
    """Listens from `start` until `aclose`."""

    def __init__(self, door: Door, settings: WebSocketSettings) -> None:
        self.port = 0
        """The TCP port, once it is known."""
        self._door = door
        self._settings = settings
        self._servers: list[Server] = []
        self._greeting: set[_Connection] = set()
        self._host = ""
        self._log = logging.getLogger("loom.bridge.websocket")

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the addresses or files do not fit together.
            LoomError: an address cannot be listened on.
        """
        self._log.setLevel(logging.WARNING)  # the library tells of every connection
        settings = self._settings
        try:
            if settings.tcp:
                await self._listen_on_tcp(settings)
            if settings.path is not None:
                ours = listen(settings.path, BACKLOG)
                self._servers.append(await self._serve(unix=True, sock=ours))
        except BaseException:
            await self.aclose()
            raise

    async def _listen_on_tcp(self, settings: WebSocketSettings) -> None:
        host, _, port = settings.tcp.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f"{settings.tcp!r} is no host:port, e.g. 127.0.0.1:7451")
        self._host = host.strip("[]").lower()
        context = _context(settings)
        if not is_loopback(self._host):
            if not settings.public:
                raise ConfigError(f"{host} is reachable from other machines; set public = true too")
            if context is None:
                raise ConfigError(f"{host} needs tls_certificate and tls_key")
        try:
            server = await self._serve(self._host, int(port), ssl=context, backlog=BACKLOG)
        except OSError as error:
            raise LoomError(f"cannot listen on {settings.tcp}: {error.strerror}") from error
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, *where: Any, **options: Any) -> Server:
        return await serve(
            self._answer,
            *where,
            compression=None,
            select_subprotocol=_choose,
            process_request=self._check,
            server_header=None,
            open_timeout=self._settings.handshake,
            close_timeout=FAREWELL,
            ping_interval=None,  # a session has heartbeats of its own
            max_size=FIRST_FRAME,
            max_queue=(1, 0),
            logger=self._log,
            create_connection=self._connection,  # type: ignore[arg-type]  # whatever makes one
            **options,
        )

    async def aclose(self) -> None:
        """Listen no more; connections that still are there end."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for server in servers:
            await server.wait_closed()
        if servers and self._settings.path is not None:
            self._settings.path.unlink(missing_ok=True)

    # -- connections -------------------------------------------------------------------------

    def _connection(self, *arguments: Any, **options: Any) -> _Connection:
        connection = _Connection(*arguments, **options)
        connection.greeting = self._greeting
        return connection

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """The refusal of a request that should not have come, before anything is made for it."""
        problem = self._problem(request)
        if problem is None:
            return None
        status, reason = problem
        return connection.respond(status, f"{reason}\n")

    def _problem(self, request: Request) -> tuple[HTTPStatus, str] | None:
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        where = urlsplit(request.path)
        said = parse_qs(where.query, keep_blank_values=True)
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return HTTPStatus.FORBIDDEN, "this Host is not served here; use a loopback address"
        if origins and (len(origins) > 1 or origins[0] not in self._settings.origins):
            return HTTPStatus.FORBIDDEN, WRONG_ORIGIN
        if not said.keys().isdisjoint(SECRETS):
            return HTTPStatus.BAD_REQUEST, TOKEN_IN_ADDRESS
        if where.path != PATH:
            return HTTPStatus.NOT_FOUND, f"there is only {PATH}"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a browser that asks for *host* means this server (it may be a rebound name)."""
        name = host.lower().rpartition(":")[0] if _has_port(host) else host.lower()
        name = name.strip("[]")
        if is_loopback(name) or (self._host and name == self._host):
            return True
        # On all addresses it is reached by any name, and TLS proves that it is the right one.
        return bool(self._host) and _is_unspecified(self._host)

    async def _answer(self, connection: ServerConnection) -> None:
        carrier = WebSocketCarrier(connection, encode_server, decode_client, limit=FIRST_FRAME)
        await carrier.run(self._door.answer(carrier, _origin(connection), _token(connection)))


class _Connection(ServerConnection):
    """Bounds what a client can make the server keep before its request is whole."""

    greeting: set[_Connection]
    _early = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.greeting) >= GREETING:
            transport.abort()
        else:
            self.greeting.add(self)

    def data_received(self, data: bytes) -> None:
        if self.request is None:
            self._early += len(data)
            if self._early > LONGEST_REQUEST:
                self.transport.abort()
                return
        super().data_received(data)
        if self.request is not None:
            self.greeting.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.greeting.discard(self)
        super().connection_lost(exc)


def _choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours if it is offered; who offers none, or others, is served as well."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _origin(connection: ServerConnection) -> str:
    """Where a connection comes from: `unix`, or the address of the other machine."""
    peer = connection.remote_address
    return str(peer[0]) if isinstance(peer, tuple) else "unix"


def _token(connection: ServerConnection) -> str:
    """The bearer token among the headers; empty if there is none, or more than one."""
    request = connection.request
    said = request.headers.get_all("Authorization") if request is not None else []
    value = str(said[0]) if len(said) == 1 else ""
    return value[7:].strip() if value[:7].lower() == "bearer " else ""


def _has_port(host: str) -> bool:
    return host.rpartition("]")[2].count(":") == 1


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _context(settings: WebSocketSettings) -> ssl.SSLContext | None:
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise ConfigError("tls_certificate and tls_key go together; one is missing")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except OSError as error:  # an SSLError is one too
        raise ConfigError(
            f"{settings.certificate} and {settings.key} cannot be used: {error.strerror}"
        ) from error
    return context
