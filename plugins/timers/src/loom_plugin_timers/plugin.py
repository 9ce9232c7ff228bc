"""Wiring: settings in, timers running, requests answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_kernel import Host, hookimpl

from loom_plugin_timers.requests import Requests
from loom_plugin_timers.settings import Settings
from loom_plugin_timers.store import Store
from loom_plugin_timers.timekeeper import Timekeeper


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    settings: Settings = host.settings
    store = Store(host.paths.state, host.log)
    timekeeper = Timekeeper(host, settings, store)
    Requests(host, timekeeper, settings.limit).open()
    timekeeper.open()
    host.on("$loom.ready", handler=timekeeper.begin)
    host.health(timekeeper.health)
    yield
