"""Wiring: the journal for the plugins that record, and `loom audit`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from loom.contracts import Audit
from loom_kernel import Health, Host, hookimpl

if TYPE_CHECKING:
    import click


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.audit]`."""

    segment: int
    sync: float


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_audit.commands import audit

    return [audit]


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_audit.journal import Journal

    settings: Settings = host.settings
    journal = Journal(host.paths.state, host.clock.time, segment=settings.segment)
    host.provide(Audit, journal)
    host.health(lambda: Health(metrics={"entries": float(journal.count)}))

    async def sync() -> None:
        while True:
            await host.clock.sleep(settings.sync)
            await asyncio.to_thread(journal.sync)

    host.spawn(sync(), "sync")
    journal.record("runtime.started", "loom", host.world.bus.node)
    try:
        yield
    finally:
        journal.record("runtime.stopped", "loom", host.world.bus.node)
        journal.close()
