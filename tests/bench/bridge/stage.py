"""The processes of one case: started, told what to do, metered from outside, ended by their ids."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.bench.environments import ROOT

WORKLOAD = ROOT / "plugins" / "bench" / "src"
PATIENCE = 90.0
"""Seconds until a case is given up, so that its processes are ended before it is itself."""
GRACE = 3.0
_OTHERS_CPU = 2
"""The clock of a process's CPU time has the id `~pid << 3 | 2` on Linux."""


class Actor:
    """One process; it says lines of JSON, and is told some."""

    def __init__(self, process: asyncio.subprocess.Process, complaints: Path) -> None:
        self._process = process
        self._complaints = complaints

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu(self) -> float:
        """CPU seconds of all its threads until now."""
        return time.clock_gettime(~self.pid << 3 | _OTHERS_CPU)

    async def hear(self) -> dict[str, Any]:
        """The next line that it says.

        Raises:
            RuntimeError: it ended instead; the message is the last that it complained of.
        """
        assert self._process.stdout is not None
        if line := await self._process.stdout.readline():
            return dict(json.loads(line))
        code = await self._process.wait()
        lines = self._complaints.read_text(errors="replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"a process ended with {code}")

    def tell(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def ask(self, **order: Any) -> dict[str, Any]:
        self.tell(**order)
        return await self.hear()

    async def end(self) -> None:
        """End with its input; by force after a moment of grace."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        for stop in (self._process.terminate, self._process.kill):
            try:
                async with asyncio.timeout(GRACE):
                    await self._process.wait()
                    return
            except TimeoutError:
                with suppress(ProcessLookupError):
                    stop()
        await self._process.wait()


class Stage:
    """Where the processes of a case play. *folder* goes with it; its name is short enough."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._actors: list[Actor] = []

    async def start(self, *command: str | Path) -> Actor:
        """Start *command* in the tree's folder, with the workload importable."""
        complaints = self.folder / f"{len(self._actors)}.log"
        with complaints.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(WORKLOAD)},
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._actors.append(Actor(process, complaints))
        return self._actors[-1]

    async def play(self, module: str, *arguments: str, python: str = sys.executable) -> Actor:
        """Start a module of this package; returns when it has said that it is ready."""
        actor, _ = await self.invite(module, *arguments, python=python)
        return actor

    async def invite(
        self, module: str, *arguments: str, python: str = sys.executable
    ) -> tuple[Actor, dict[str, Any]]:
        """As `play`, with what it said."""
        actor = await self.start(python, "-m", f"tests.bench.bridge.{module}", *arguments)
        return actor, await actor.hear()

    async def clear(self) -> None:
        for actor in reversed(self._actors):
            await actor.end()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage for one case; everything on it ends with it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = Stage(Path(folder))
        try:
            async with asyncio.timeout(PATIENCE):
                yield found
        finally:
            await found.clear()


def cpu_of(actors: Iterable[Actor]) -> float:
    return sum(actor.cpu for actor in actors)
