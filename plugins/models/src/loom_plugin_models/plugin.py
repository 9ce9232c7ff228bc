"""Wiring: the endpoints of `[llm]`, as a service, as a tool and for the owner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import click
from loom_kernel import Host, hookimpl

from loom_plugin_models.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_models.commands import models

    return [models]


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom.contracts import Models

    from loom_plugin_models.requests import Requests
    from loom_plugin_models.service import Service
    from loom_plugin_models.tool import offer

    settings: Settings = host.settings
    service = Service(host, settings.default, settings.daily)
    host.provide(Models, service)
    host.health(service.health)
    Requests(host, service).listen()
    provider = await offer(host, service, settings.concurrency) if service.list() else None
    try:
        yield
    finally:
        if provider is not None:
            await provider.withdraw()
            await provider.finish()
        await service.aclose()
