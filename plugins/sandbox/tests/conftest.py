from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from loom.contracts import Command, Confinement, Sandbox
from loom.processes import Process
from loom_plugin_sandbox.bubblewrap import Bubblewrap
from loom_plugin_sandbox.landlock import Landlock

DRIVERS: dict[str, Any] = {"bubblewrap": Bubblewrap, "landlock": Landlock}
Spawn = Callable[..., "asyncio.Task[None]"]


class Ended:
    """What a program did."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code = code
        self.output = output
        self.errors = errors

    def __repr__(self) -> str:
        return f"code {self.code}\n{self.output[-2000:]}\n{self.errors[-2000:]}"


Run = Callable[..., Awaitable[Ended]]


@pytest.fixture(scope="session", params=DRIVERS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    found = DRIVERS[request.param].probe()
    if isinstance(found, str):
        pytest.skip(found)
    driver: Sandbox = found
    return driver


@pytest.fixture
async def spawn() -> AsyncIterator[Spawn]:
    async with asyncio.TaskGroup() as group:
        yield lambda work, name: group.create_task(work, name=name)


@pytest.fixture
def run(sandbox: Sandbox, spawn: Spawn) -> Run:
    """Run a program to its end in the sandbox, or with `bare=True` without one."""

    async def run(*argv: str, bare: bool = False, cwd: str = "/", **options: Any) -> Ended:
        said = bytearray()

        async def hear(stream: asyncio.StreamReader) -> None:
            while chunk := await stream.read(8192):
                said.extend(chunk)

        environment = options.pop("environment", {})
        command = Command(argv, cwd, environment)
        if not bare:
            command = sandbox.confine(command, Confinement(**options))
        process = await Process.start(command, spawn, errors=hear)
        try:
            async with asyncio.timeout(20):
                output = await process.stdout.read()
                code = await process.wait()
        finally:
            await process.aclose()
        return Ended(code, output.decode(errors="replace"), said.decode(errors="replace"))

    return run
