"""Wiring of the bridge plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import click
from loom.bridge import bridge_folder
from loom.contracts import Bridge
from loom_kernel import Host, hookimpl

from loom_plugin_bridge.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_bridge.commands import token

    return (token,)


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_bridge.server import Server

    server = Server(host, bridge_folder(host.world.paths))
    async with AsyncExitStack() as stack:
        await server.start(stack)
        host.provide(Bridge, server)
        host.health(server.sessions.health)
        yield
