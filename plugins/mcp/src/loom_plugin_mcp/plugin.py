"""Wiring of the MCP plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import click
from loom_kernel import Host, hookimpl

from loom_plugin_mcp.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_mcp.commands import mcp

    return (mcp,)


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_mcp.configuration import read_servers
    from loom_plugin_mcp.keeper import Keeper
    from loom_plugin_mcp.quiet import quiet
    from loom_plugin_mcp.requests import Requests
    from loom_plugin_mcp.serving.exposure import Exposure
    from loom_plugin_mcp.serving.http import HttpServer

    servers = read_servers(host.tables.get("mcp", {}), host.paths.project)
    keeper = Keeper(host, servers)
    exposure = Exposure(host)
    exposure.listen()
    http = HttpServer(host, exposure)
    Requests(host, keeper, exposure, http).listen()
    host.health(keeper.health)
    async with AsyncExitStack() as stack:
        stack.enter_context(quiet())
        if servers:
            await stack.enter_async_context(keeper.open())
        if host.settings.http:
            await stack.enter_async_context(http.open())
        yield
