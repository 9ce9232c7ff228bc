"""Wiring: settings in, watches running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from loom_kernel import Host, hookimpl

from loom_plugin_files.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_files.watches import Watches  # watchdog only where something is watched

    async with aclosing(Watches(host)) as watches:
        await watches.start()
        host.health(watches.health)
        yield
