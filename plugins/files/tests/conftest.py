from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import RealClock
from loom_plugin_files.memory import Memory
from loom_plugin_files.selection import Selection
from loom_plugin_files.watch import Plan, Watch

SETTLE = 0.05


class Told:
    """What a watch told, in order, and a way to wait for more."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._more = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, what: str, data: dict[str, Any], subject: str) -> None:
        await self.gate.wait()
        assert subject == data["path"]
        self.events.append((what, data))
        self._more.set()

    def paths(self, what: str) -> list[str]:
        return [data["relative"] for kind, data in self.events if kind == what]

    def changes(self) -> list[tuple[str, str]]:
        return [(kind, data["relative"]) for kind, data in self.events if "relative" in data]

    def count(self, what: str) -> int:
        return Counter(kind for kind, _ in self.events)[what]

    def reasons(self) -> list[str]:
        return [data["reason"] for kind, data in self.events if kind == "rescanned"]

    async def wait_for(self, condition: Callable[[], bool], timeout: float = 20.0) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                await self._more.wait()
                self._more.clear()

    async def wait_for_changes(self, *changes: tuple[str, str]) -> None:
        await self.wait_for(lambda: set(changes) <= set(self.changes()))


Watching = Callable[..., AbstractAsyncContextManager[Told]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


@pytest.fixture
def watching(folder: Path, tmp_path: Path) -> Watching:
    """Watch *folder* with real files, threads and time; yields what was told after the start."""

    @asynccontextmanager
    async def watching(
        *, patterns: tuple[str, ...] = ("*",), ignore: tuple[str, ...] = (), **options: Any
    ) -> AsyncIterator[Told]:
        told = Told()
        recursive = options.setdefault("recursive", True)
        plan = Plan(
            folder=options.pop("folder", folder),
            selection=Selection(patterns, ignore, recursive=recursive),
            memory=Memory(tmp_path / "state/watch.json", "the same"),
            **{"settle": SETTLE, "recheck": 0.05, **options},
        )
        watch = Watch(plan, RealClock(), told.take, logging.getLogger("loom.test"))
        await watch.start()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watch.run())
            try:
                await told.wait_for(lambda: told.count("rescanned") + told.count("missing") > 0)
                yield told
            finally:
                running.cancel()
        await watch.aclose()

    return watching
