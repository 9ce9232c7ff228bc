"""Wiring: the best sandbox of this platform, for whoever starts programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from loom.contracts import Sandbox
from loom_kernel import Health, Host, hookimpl

from loom_plugin_sandbox.choice import choose


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.sandbox]`."""

    driver: str


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    found, reasons = await asyncio.to_thread(choose, host.settings.driver, host.driver)
    host.provide(Sandbox, found)
    for reason in reasons:
        host.log.warning("%s", reason)
    said = "; ".join([f"programs are confined by: {found.mechanism}", *reasons])
    host.health(lambda: Health(message=said))
    yield
