"""Wiring: the programs of `[process]`, kept while the runtime runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import import_module

import click
from loom_kernel import Host, hookimpl

from loom_plugin_process.settings import Settings


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_process.commands import process

    return [process]


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_process.requests import Requests

    requests = Requests(host)
    requests.listen()
    if not (table := host.tables.get("process")):
        yield
        return
    from loom_plugin_process.program import read_programs

    programs = read_programs(table)
    await asyncio.to_thread(import_module, "loom_plugin_process.residents")  # grpc takes its time
    from loom_plugin_process.residents import Residents

    residents = requests.residents = Residents(host, programs)
    await residents.open()
    host.health(residents.health)
    yield
    await residents.stop()
