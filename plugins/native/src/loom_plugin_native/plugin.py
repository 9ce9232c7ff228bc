"""Wiring: a workspace opened, its tools offered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

from loom import ToolProvider
from loom_kernel import Health, Host, hookimpl

from loom_plugin_native.beneath import Workspace
from loom_plugin_native.history import History
from loom_plugin_native.settings import Settings, make_workspace
from loom_plugin_native.shell.programs import read_programs
from loom_plugin_native.shell.tool import ShellTool
from loom_plugin_native.tools import FileTools
from loom_plugin_native.undoing import Undoing
from loom_plugin_native.web.offer import offer_web

if TYPE_CHECKING:
    import click


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_native.commands import undo

    return [undo]


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    settings: Settings = host.settings
    table = host.tables.get("workspace", {})
    folder = await asyncio.to_thread(make_workspace, table, host.paths)
    programs = read_programs(settings.programs, settings.program)
    with closing(await asyncio.to_thread(Workspace.open, folder)) as workspace:
        history = await asyncio.to_thread(History, workspace, host.paths.state / "undo")
        if removed := await asyncio.to_thread(history.tidy):
            host.log.info("removed %d files that were half written", removed)
        provider = ToolProvider(host)
        FileTools(workspace, history, host.clock).offer(provider)
        ShellTool(host, programs, folder).offer(provider)
        cache = offer_web(provider, settings, host.paths, host.clock)
        Undoing(host, history).open()
        await provider.start()
        kept = f"files stay in {folder} by {workspace.mechanism}"
        gone = f"{folder} was removed or replaced; start Loom again to use the new one"
        host.health(lambda: Health(message=kept) if workspace.is_there else Health(False, gone))
        yield
        if cache is not None:
            await asyncio.to_thread(cache.close)
