"""Wiring of the tools plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from loom_kernel import Health, Host, hookimpl

from loom_plugin_tools.broker import Broker


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.tools]`."""

    timeout: float
    remembered: int


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    settings: Settings = host.settings
    broker = Broker(host, timeout=settings.timeout, remembered=settings.remembered)
    host.health(lambda: Health(metrics={name: float(n) for name, n in broker.counts.items()}))
    await broker.start()
    yield
