"""The agents of an app folder: every `Agent` at module level of its `agents/*.py`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from loom import Agent
from loom_kernel import Host, LoomError

from loom_plugin_agents.keeper import Keeper

RELOAD_EVERY = 0.5


class AppFolder:
    """Loads agents from files, keeps to what `[agents.<id>]` says, and follows changes."""

    def __init__(self, host: Host, keeper: Keeper, folder: Path, tables: Mapping[str, Any]) -> None:
        self._host = host
        self._keeper = keeper
        self._folder = folder
        self._tables = tables
        self._agents: dict[Path, list[str]] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}

    async def start(self) -> None:
        """Start the agents of every file; a file that fails is reported and the others start."""
        app = str(self._folder.parent)
        if app not in sys.path:
            sys.path.insert(0, app)
        for file in self._files():
            await self._load(file)
        started = {id for ids in self._agents.values() for id in ids}
        for id, table in self._tables.items():
            if id not in started and not (
                isinstance(table, dict) and table.get("enabled") is False
            ):
                self._host.log.warning("[agents.%s]: there is no agent of that id", id)

    async def follow(self) -> None:
        """Restart the agents of files that change, start new files, stop removed ones."""
        while True:
            await self._host.clock.sleep(RELOAD_EVERY)
            files = self._files()
            for file in [known for known in self._agents if known not in files]:
                await self._unload(file)
            for file in files:
                if self._stamps.get(file) != _stamp(file):
                    await self._load(file)

    def _files(self) -> list[Path]:
        return sorted(f for f in self._folder.glob("*.py") if not f.name.startswith("_"))

    async def _load(self, file: Path) -> None:
        """Import *file* and swap its agents in; if it cannot be imported the old ones go on."""
        self._stamps[file] = _stamp(file)
        try:
            agents = _agents_in(_import(file))
            await self._unload(file)
            for agent in agents:
                await self._start(file, agent)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # it is the app's code that runs
            self._complain(file, error)

    def _complain(self, file: Path, error: BaseException) -> None:
        self._host.log.error("the agents of %s failed", file.name, exc_info=error)
        self._host.tell_error("ACTION_ERROR", error, file=file.name)

    async def _start(self, file: Path, agent: Agent) -> None:
        table = self._tables.get(agent.agent_id, {})
        if table.get("enabled", True):
            await self._keeper.create(agent.definition(table))
            self._agents.setdefault(file, []).append(agent.agent_id)

    async def _unload(self, file: Path) -> None:
        for id in self._agents.pop(file, []):
            try:
                await self._keeper.delete(id)
            except Exception as error:  # noqa: BLE001  # it is the app's code that runs
                self._complain(file, error)


class _Fresh(SourceFileLoader):
    """Compiles the text as it is now: two edits within the same second must both count."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(self.get_data(path), path, "exec", dont_inherit=True)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _import(file: Path) -> ModuleType:
    name = f"loom_app_{file.parent.parent.name.replace('-', '_')}.{file.stem}"
    loader = _Fresh(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise LoomError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _agents_in(module: ModuleType) -> list[Agent]:
    found = [value for value in vars(module).values() if isinstance(value, Agent)]
    if not found:
        raise LoomError(
            f"{module.__name__} holds no agent: write agent = Agent(…) at its top level"
        )
    return list(dict.fromkeys(found))
