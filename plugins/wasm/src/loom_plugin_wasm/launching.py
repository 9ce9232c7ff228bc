"""Starting the process that guests run in, confined."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loom.contracts import Command, Confinement, Sandbox
from loom.processes import ENVIRONMENT, Output, Process, needs
from loom_kernel import Host

from loom_plugin_wasm.settings import Settings, Table
from loom_plugin_wasm.worker.frames import pack

OWN = 256
"""MiB that a worker needs for itself."""
THREADS = 256
"""Engines start one or two for each processor."""
LOG_RATE = 64 << 10
"""Bytes a second."""
LARGEST_FRAME = 4 << 20


class Launcher:
    """Starts the workers of one module."""

    def __init__(self, host: Host, name: str, table: Table, cache: Path) -> None:
        self._host = host
        self._name = name
        self._table = table
        self._cache = cache
        self._places = (*needs(sys.executable), str(Path(__file__).parent))

    async def start(self) -> Process:
        """A process that serves the module. Its memory is bounded from the inside.

        Raises:
            LoomError: nothing here can confine it.
            OSError: the system does not let it start.
        """
        table = self._table
        within = Confinement(
            read=(*self._places, str(self._cache), *table.read), write=table.write,
            memory=0, processes=THREADS,
        )  # fmt: skip
        return await self._start(within, OWN + 2 * table.memory)

    async def start_compiler(self) -> Process:
        """A process that may write compiled code into the cache, and compute for a while."""
        settings: Settings = self._host.settings
        within = Confinement(
            read=self._places, write=(str(self._cache),), memory=0,
            seconds=settings.compile_seconds, processes=THREADS,
        )  # fmt: skip
        return await self._start(within, settings.compile_memory)

    async def _start(self, within: Confinement, data: int) -> Process:
        host = self._host
        argv = (sys.executable, "-I", "-m", "loom_plugin_wasm.worker", str(data))
        command = host.require(Sandbox).confine(Command(argv, environment=ENVIRONMENT), within)
        output = Output(host.log.getChild(self._name), host.clock, LOG_RATE)
        return await Process.start(command, host.spawn, errors=output.relay, limit=LARGEST_FRAME)

    def frame(self, op: str, module: bytes) -> bytes:
        """The frame that tells a worker of *module* and what it may do."""
        table = self._table
        order: Mapping[str, Any] = {
            "engine": table.kind, "cache": str(self._cache), "memory": table.memory,
            "seconds": table.seconds, "functions": table.functions,
            "read": table.read, "write": table.write, "config": table.config,
        }  # fmt: skip
        return pack({"op": op, "order": order}, module)
