"""The agents of an app folder: every `Agent` at module level of its `agents/*.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loom import Agent
from loom.hosting import load_agents
from loom_kernel import Host, LoomError, RealClock

from loom_plugin_agents.keeper import Keeper
from loom_plugin_agents.settings import Settings
from loom_plugin_agents.supervisor import Supervisor

RELOAD_EVERY = 0.5


class AppFolder:
    """Loads agents from files, keeps to what `[agents.<id>]` says, and follows changes."""

    def __init__(self, host: Host, keeper: Keeper, supervisor: Supervisor, folder: Path) -> None:
        self._host = host
        self._keeper = keeper
        self._supervisor = supervisor
        self._folder = folder
        self._settings: Settings = host.settings
        self._tables: Mapping[str, Any] = host.tables.get("agents", {})
        self._agents: dict[Path, list[str]] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}

    async def start(self) -> None:
        """Start the agents of every file; a file that fails is reported and the others start."""
        for file in self._files():
            await self._load(file)
        self._supervisor.on_known = self._warn
        if not self._supervisor.files():
            self._warn(set())

    def _warn(self, known: set[str]) -> None:
        """Name the tables for which there is no agent; *known*: ids that processes told."""
        started = {id for ids in self._agents.values() for id in ids}
        stems = {file.stem for file in self._stamps}
        for id, table in self._tables.items():
            is_off = isinstance(table, dict) and table.get("enabled") is False
            if id not in started | known | stems and not is_off:
                self._host.log.warning("[agents.%s]: there is no agent of that id", id)

    async def follow(self) -> None:
        """Restart the agents of files that change, start new files, stop removed ones."""
        while True:
            await self._host.clock.sleep(RELOAD_EVERY)
            files = self._files()
            for file in [known for known in self._stamps if known not in files]:
                await self._unload(file)
                del self._stamps[file]
            for file in files:
                if self._stamps.get(file) != _stamp(file):
                    await self._load(file)

    def _files(self) -> list[Path]:
        return sorted(f for f in self._folder.glob("*.py") if not f.name.startswith("_"))

    def _is_process(self, file: Path) -> bool:
        """Whether the agents of *file* get a process. In simulated time none do: it is too fast."""
        table = self._tables.get(file.stem, {})
        own = table.get("run", self._settings.run) if isinstance(table, dict) else table
        if own not in ("embedded", "process"):
            raise LoomError(f"[agents.{file.stem}] run is {own!r}, must be embedded or process")
        return own == "process" and isinstance(self._host.clock, RealClock)

    async def _load(self, file: Path) -> None:
        """Import *file* and swap its agents in; if it cannot be imported the old ones go on."""
        self._stamps[file] = _stamp(file)
        try:
            if self._is_process(file):
                self._supervisor.add(file)
                return
            agents = load_agents(file)
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
        if file in self._supervisor.files():
            await self._supervisor.remove(file)
        for id in self._agents.pop(file, []):
            try:
                await self._keeper.delete(id)
            except Exception as error:  # noqa: BLE001  # it is the app's code that runs
                self._complain(file, error)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
