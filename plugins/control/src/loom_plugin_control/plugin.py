"""Wiring: the control socket while Loom runs, and the commands that use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from loom_kernel import hookimpl

if TYPE_CHECKING:
    import click
    from loom_kernel import Host


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_control.server import ControlServer  # asyncio: not for the commands

    async with aclosing(ControlServer(host)) as server:
        await server.start()
        host.health(server.health)
        yield


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_control.commands.agents import agents
    from loom_plugin_control.commands.events import publish, tail, topics
    from loom_plugin_control.commands.lifecycle import down, status, up
    from loom_plugin_control.commands.listing import timers
    from loom_plugin_control.commands.logs import logs
    from loom_plugin_control.commands.run import run

    return [up, down, status, logs, run, agents, timers, topics, publish, tail]
