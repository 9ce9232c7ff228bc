"""The MCP server over HTTP, within the runtime."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom_kernel import ConfigError, Envelope, Host, detached, encode_json

from loom_plugin_mcp.configuration import is_loopback
from loom_plugin_mcp.serving.exposure import Exposure
from loom_plugin_mcp.serving.guard import Guard, read_token
from loom_plugin_mcp.settings import Settings

if TYPE_CHECKING:
    import uvicorn

CLIENT = "http"
"""The name under which whoever holds the token acts."""
PATH = "/mcp"
BACKLOG = 128
MOST_SESSIONS = 100
LAST_WORDS = 1
"""Seconds that answers have at the end."""


class Within:
    """This runtime, as one client sees it."""

    def __init__(self, exposure: Exposure, client: str) -> None:
        self._exposure = exposure
        self._client = client

    async def tools(self) -> list[dict[str, Any]]:
        """The tools that are served."""
        return await self._exposure.tools()

    async def call(self, name: str, arguments: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Run the tool that is called *name* on the wire."""
        return await self._exposure.call(self._client, name, arguments, reason)

    async def resources(self) -> list[str]:
        """The addresses of what can be read."""
        return self._exposure.resources()

    async def read(self, uri: str) -> str | None:
        """One of them, as JSON."""
        events = self._exposure.read(uri)
        return None if events is None else encode_json(events).decode()


class HttpServer:
    """Serves *exposure* at the address of the settings between `open`'s entering and leaving."""

    def __init__(self, host: Host, exposure: Exposure) -> None:
        self._host = host
        self._exposure = exposure
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen, and answer once the runtime is ready.

        Raises:
            ConfigError: the address is none, is taken, or is not of this machine alone.
        """
        settings: Settings = self._host.settings
        listening = _listen(settings.http)
        name, port = listening.getsockname()[:2]
        self.address = f"http://{f'[{name}]' if ':' in name else name}:{port}{PATH}"
        read_token(self._host.world.paths)

        async def begin(_: Envelope) -> None:
            for module in ("uvicorn", "loom_plugin_mcp.serving.face"):
                await asyncio.to_thread(import_module, module)
            with detached():  # what clients ask is not caused by the runtime's being ready
                self._serving = self._host.spawn(self._serve(listening, port), "http")

        self._host.on("$loom.ready", handler=begin, name="mcp:http")
        try:
            yield
        finally:
            if self._server is not None and self._serving is not None:
                self._server.should_exit = True
                await asyncio.wait((self._serving,), timeout=LAST_WORDS + 1.0)
            listening.close()

    async def _serve(self, listening: socket.socket, port: int) -> None:
        import uvicorn

        from loom_plugin_mcp.serving.face import make_server

        class Server(uvicorn.Server):
            @contextmanager
            def capture_signals(self) -> Generator[None, None, None]:
                yield  # signals are the runtime's

        paths, clock = self._host.world.paths, self._host.clock
        # Answers are JSON, never a stream of events: the library for those leaves a task behind
        # that looks twice a second, for as long as the process lives, whether it should end.
        inner = make_server(Within(self._exposure, CLIENT)).streamable_http_app(
            streamable_http_path=PATH, max_sessions=MOST_SESSIONS, json_response=True
        )
        config = uvicorn.Config(
            Guard(inner, lambda: read_token(paths), port, clock), log_config=None,
            access_log=False, server_header=False, lifespan="on", ws="none",
            timeout_graceful_shutdown=LAST_WORDS,
        )  # fmt: skip
        self._server = Server(config)
        await self._server.serve(sockets=[listening])


def _listen(address: str) -> socket.socket:
    name, colon, port = address.rpartition(":")
    host = "127.0.0.1" if name == "localhost" else name.strip("[]")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"'http' in [plugins.mcp]: write host:port, not {address!r}")
    if not is_loopback(host):
        raise ConfigError(
            f"'http' in [plugins.mcp]: {address!r} is not a loopback address; others must come "
            "through a proxy of yours that knows them"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))
        listening.listen(BACKLOG)
        listening.setblocking(False)  # its only form
    except OSError as error:
        listening.close()
        raise ConfigError(f"'http' in [plugins.mcp]: {address!r}: {error.strerror}") from error
    return listening
