"""All watches of the configuration, as one part of a running Loom."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from loom_kernel import BusClosed, Envelope, Health, Host

from loom_plugin_files.memory import Memory
from loom_plugin_files.selection import Selection
from loom_plugin_files.settings import Settings, WatchSettings, locate
from loom_plugin_files.watch import Plan, Watch

_START = 3.0
"""Seconds that a start may wait for large folders, below the kernel's limit for attaching."""


class Watches:
    """Starts the watches, runs them once all plugins can listen, and stops them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._is_ready = asyncio.Event()
        settings: Settings = host.settings
        self._watches = {
            name: self._make(name, watch, settings) for name, watch in settings.watch.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to watch. A folder so large that it takes long is finished in the background."""
        # What changed while Loom was down may not be told before everybody listens.
        self._host.on("$loom.ready", handler=self._go, name="ready")
        started: list[asyncio.Event] = []
        for name, watch in self._watches.items():
            started.append(asyncio.Event())
            run = self._run(watch, started[-1])
            self._tasks.append(self._host.spawn(run, f"watch {name}"))
        try:
            async with asyncio.timeout(_START):
                for event in started:
                    await event.wait()
        except TimeoutError:
            self._host.log.warning("large folders are still being looked at in the background")

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def health(self) -> Health:
        problems = [watch.problem for watch in self._watches.values() if watch.problem]
        count = sum(watch.file_count for watch in self._watches.values())
        metrics = {"watches": float(len(self._watches)), "files": float(count)}
        return Health(not problems, "; ".join(problems) or "ok", metrics)

    async def _go(self, ready: Envelope) -> None:
        self._is_ready.set()

    async def _run(self, watch: Watch, started: asyncio.Event) -> None:
        try:
            await watch.start()
            started.set()
            await self._is_ready.wait()
            await watch.run()
        except* BusClosed:
            self._host.log.debug("the runtime stops; untold changes are told at the next start")
        finally:
            started.set()
            await watch.aclose()

    def _make(self, name: str, watch: WatchSettings, settings: Settings) -> Watch:
        host = self._host

        async def emit(what: str, data: dict[str, Any], subject: str) -> int:
            return await host.publish(
                f"file.{name}.{what}",
                data,
                f"loom.file.{what}",
                subject=subject,
                labels=frozenset({"untrusted"}),  # anyone may have chosen these names
            )

        return Watch(self._plan(name, watch, settings), host.clock, emit, host.log)

    def _plan(self, name: str, watch: WatchSettings, settings: Settings) -> Plan:
        folder = locate(name, watch.path, self._host.paths.project)
        scope = {**msgspec.to_builtins(watch), "path": str(folder), "settle": None}
        return Plan(
            folder=folder,
            selection=Selection(
                watch.patterns,
                watch.ignore,
                recursive=watch.recursive,
                excluded=self._own_folders(folder),
            ),
            memory=Memory(
                self._host.paths.state / f"{name.replace('/', '%2F')}.json",
                msgspec.json.encode(scope, order="sorted").decode(),
            ),
            recursive=watch.recursive,
            settle=settings.settle if watch.settle is None else watch.settle,
            recheck=settings.recheck,
            capacity=settings.capacity,
        )

    def _own_folders(self, folder: Path) -> list[str]:
        """Where Loom itself writes inside *folder*: telling of that would cause more of it."""
        root = folder.resolve()
        own = (self._host.world.paths.state, self._host.world.paths.cache)
        return [
            path.resolve().relative_to(root).as_posix()
            for path in own
            if path.resolve().is_relative_to(root)
        ]
