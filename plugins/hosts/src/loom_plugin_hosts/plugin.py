"""Wiring of the hosts plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from loom_kernel import Host, hookimpl, private_dir

from loom_plugin_hosts.platform import Platform


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.hosts]`."""

    adapter: str
    options: dict[str, Any]


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    settings: Settings = host.settings
    driver = host.driver("loom.hosts", settings.adapter)
    platform = Platform(host, driver(settings.options, private_dir(host.paths.state)))
    host.health(platform.health)
    platform.start()
    yield
