"""Wiring: the router as a service, on the bus, as tools and for the owner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import click
from loom_kernel import Host, hookimpl

from loom_plugin_router.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_router.commands import router

    return [router]


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom.contracts import Models, Router

    from loom_plugin_router.privacy import labelled

    host.add_filter(labelled, order=-200)
    if not host.require(Models).list():
        from loom_plugin_router.idle import listen

        listen(host)
        yield
        return
    from loom_plugin_router.events import Events
    from loom_plugin_router.requests import Requests
    from loom_plugin_router.service import Service
    from loom_plugin_router.tool import offer

    service = Service(host)
    host.provide(Router, service)
    host.health(service.health)
    Requests(host, service).listen()
    Events(host, service).listen()
    host.spawn(service.decisions.stay(service.learner.text), "keeping")
    provider = await offer(host, service)
    try:
        yield
    finally:
        await provider.withdraw()
        await provider.finish()
        await service.decisions.aclose(service.learner.text())
