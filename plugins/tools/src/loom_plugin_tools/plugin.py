"""Wiring of the tools plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from loom.contracts import Approvals, Permits, Tools
from loom_kernel import Health, Host, hookimpl

from loom_plugin_tools.assembly import assemble
from loom_plugin_tools.settings import Settings

if TYPE_CHECKING:
    import click


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_tools.commands import ALL

    return ALL


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    broker, permits, orders = assemble(host)
    host.provide(Approvals, broker.desk)
    host.provide(Permits, permits)
    host.provide(Tools, broker)
    host.health(lambda: Health(metrics={name: float(n) for name, n in broker.counts.items()}))
    broker.desk.load()
    host.on("tool.call", handler=broker.accept, qos="background", name="tools:call")
    host.on("tool.call.cancel", handler=broker.cancel, name="tools:cancel")
    orders.start()
    await broker.announcements.start()
    yield
