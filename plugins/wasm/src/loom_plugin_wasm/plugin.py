"""Wiring of the wasm plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loom_kernel import Host, hookimpl

from loom_plugin_wasm.settings import Settings, read_tables

if TYPE_CHECKING:
    import click


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_wasm.commands import wasm

    return [wasm]


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    base = host.paths.project or Path.cwd()
    tables = read_tables(host.tables.get("wasm", {}), base)
    if not tables:
        yield
        return
    from loom_plugin_wasm.keeper import Keeper
    from loom_plugin_wasm.requests import Requests

    keeper = Keeper(host, tables)
    Requests(host, keeper).listen()
    host.health(keeper.health)
    await keeper.start()
    yield
    await keeper.stop()
