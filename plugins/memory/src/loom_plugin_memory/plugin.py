"""Wiring: the memory on the bus and, where a bridge runs, for clients in any language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.contracts import Bridge
from loom_kernel import Host, ServiceMissing, hookimpl

from loom_plugin_memory.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_memory.requests import Requests
    from loom_plugin_memory.service import Service
    from loom_plugin_memory.wire import CODE, SERVICE, methods

    service = Service(host)
    requests = Requests(host, service)
    end = None
    try:
        await service.start()
        requests.start()
        host.health(service.health)
        try:
            end = host.require(Bridge).serve(SERVICE, methods(service), CODE)
        except ServiceMissing:
            host.log.debug("no bridge runs: the memory is on the bus only")
        yield
    finally:
        if end is not None:
            end()
        await requests.aclose()
        await service.aclose()
