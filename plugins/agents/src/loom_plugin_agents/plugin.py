"""Wiring of the agents plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from loom.contracts import Agents
from loom_kernel import Health, Host, hookimpl

from loom_plugin_agents.keeper import Keeper


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.agents]`."""

    folder: str
    reload: bool


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    settings: Settings = host.settings
    keeper = Keeper(host)
    keeper.listen()
    host.provide(Agents, keeper)
    host.health(lambda: Health(metrics={"agents": float(len(keeper.find()))}))
    if host.paths.project is not None:
        from loom_plugin_agents.folder import AppFolder

        folder = host.paths.project / settings.folder
        app = AppFolder(host, keeper, folder, host.tables.get("agents", {}))
        await app.start()
        if settings.reload:
            host.spawn(app.follow(), "reload")
    yield
    await keeper.stop_all()
