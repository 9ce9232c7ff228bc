"""Wiring of the agents plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.contracts import GO_ON, HALT, Agents, Mailboxes
from loom_kernel import Host, hookimpl

from loom_plugin_agents.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_agents.keeper import Keeper
    from loom_plugin_agents.requests import Requests
    from loom_plugin_agents.supervisor import Supervisor

    settings: Settings = host.settings
    supervisor = Supervisor(host)
    keeper = Keeper(host, supervisor)
    Requests(host, keeper).listen()
    host.on(HALT, GO_ON, handler=keeper.obey, name="agents:halt")
    host.provide(Agents, keeper)
    host.provide(Mailboxes, keeper)
    host.health(keeper.health)
    if host.paths.project is not None:
        from loom_plugin_agents.folder import AppFolder

        app = AppFolder(host, keeper, supervisor, host.paths.project / settings.folder)
        await app.start()
        supervisor.listen()
        if settings.reload:
            host.spawn(app.follow(), "reload")
    yield
    await supervisor.stop()
    await keeper.stop_all()
