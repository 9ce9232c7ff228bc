"""The bridge as a whole: its door, its sessions, and the listeners that are switched on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from loom.bridge import FRAMES_SOCKET, GRPC_SOCKET, LOCAL_TOKEN, WEBSOCKET_SOCKET
from loom.contracts import RemoteMethod, Ticket
from loom_kernel import Envelope, Host, detached

from loom_plugin_bridge.access import Grant
from loom_plugin_bridge.door import Door
from loom_plugin_bridge.listener import FramesListener
from loom_plugin_bridge.services import Services
from loom_plugin_bridge.sessions import Sessions
from loom_plugin_bridge.settings import Settings
from loom_plugin_bridge.tokens import Tokens

if TYPE_CHECKING:
    from loom_plugin_bridge.carriers.grpc import GrpcListener


class Server:
    """Serves the bridge of one runtime from *folder*; the service `loom.contracts.Bridge`."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self._settings: Settings = host.settings
        self._tokens = Tokens(folder, host.clock.time)
        self.sessions = Sessions(host, self._tokens, self._settings)
        self._services = Services(self._tell_of_services)
        self._grpc: GrpcListener | None = None
        self._late = AsyncExitStack()
        self._door = Door(host, self.sessions, self._tokens, patience=self._settings.handshake)

    async def start(self, stack: AsyncExitStack) -> None:
        """Open every listener; *stack* closes them, and before them the sessions."""
        self._tokens.open_local(self._folder / LOCAL_TOKEN)
        frames = FramesListener(self._door, self._folder / FRAMES_SOCKET)
        await frames.start()
        stack.push_async_callback(frames.aclose)
        if self._settings.tcp:
            await self._start_grpc(stack)
        elif self._settings.grpc:
            self._host.on("$loom.ready", handler=self._start_grpc_late, name="bridge:grpc")
            stack.push_async_callback(self._late.aclose)
        if self._settings.websocket or self._settings.websocket_tcp:
            await self._start_websocket(stack)
        self._host.spawn(self.sessions.watch(), "leases")
        stack.push_async_callback(self.sessions.aclose)

    async def _start_grpc_late(self, _: Envelope) -> None:
        """Importing grpc takes longer than all else at the start: nobody should wait for it."""
        await asyncio.to_thread(import_module, "loom_plugin_bridge.carriers.grpc")
        with detached():  # what clients publish is not caused by the runtime's being ready
            await self._start_grpc(self._late)

    async def _start_grpc(self, stack: AsyncExitStack) -> None:
        from loom_plugin_bridge.carriers.grpc import GrpcListener, GrpcSettings
        from loom_plugin_bridge.plain import PlainClients
        from loom_plugin_bridge.pubsub import EventBus
        from loom_plugin_bridge.remote import RemoteServices

        settings = self._settings
        plain = PlainClients(self._host, self._door, self._tokens)
        events = EventBus(self._host, plain.authenticate)
        listening = GrpcSettings(
            path=self._folder / GRPC_SOCKET if settings.grpc else None,
            tcp=settings.tcp,
            public=settings.public,
            certificate=_file(settings.tls_certificate),
            key=_file(settings.tls_key),
            reflection=settings.reflection,
            max_frame=settings.max_frame,
        )
        remote = RemoteServices(self._host, self._services, plain.authenticate)
        grpc = GrpcListener(self._host, self._door, listening, events.handlers, remote)
        self._grpc = grpc
        await self._tell(grpc)
        await grpc.start()
        stack.push_async_callback(grpc.aclose)
        self._host.spawn(plain.watch(events.drop), "plain clients")

    async def _start_websocket(self, stack: AsyncExitStack) -> None:
        from loom_plugin_bridge.carriers.websocket import WebSocketListener, WebSocketSettings

        settings = self._settings
        listening = WebSocketSettings(
            path=self._folder / WEBSOCKET_SOCKET if settings.websocket else None,
            tcp=settings.websocket_tcp,
            public=settings.public,
            certificate=_file(settings.tls_certificate),
            key=_file(settings.tls_key),
            origins=tuple(settings.origins),
            handshake=settings.handshake,
        )
        websocket = WebSocketListener(self._door, listening)
        await websocket.start()
        stack.push_async_callback(websocket.aclose)

    # -- Bridge ------------------------------------------------------------------------------

    def issue(self, name: str, *, agents: tuple[str, ...] = ("*",)) -> Ticket:
        """A way in for a child process that acts as *agents*."""
        token = self._tokens.issue(Grant(id="", name=name, agents=agents))
        return Ticket(f"unix://{self._folder / FRAMES_SOCKET}", token)

    def withdraw(self, name: str) -> None:
        """Let nobody in any more with what was issued under *name*."""
        self._tokens.withdraw(name)

    def serve(
        self, service: str, methods: Mapping[str, RemoteMethod], code: str
    ) -> Callable[[], None]:
        """See `loom.contracts.Bridge`."""
        return self._services.add(service, methods, code)

    def _tell_of_services(self) -> None:
        if self._grpc is not None:
            self._host.spawn(self._tell(self._grpc), "services")

    async def _tell(self, grpc: GrpcListener) -> None:
        """Let clients know which services of others there are, and what they look like."""
        for module in self._services.code:
            await asyncio.to_thread(import_module, module)
        await grpc.tell(self._services.names)


def _file(name: str) -> Path | None:
    return Path(name).expanduser() if name else None
