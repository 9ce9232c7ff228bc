"""A worker by itself: no sandbox, no broker, no pool."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from loom.contracts import Command
from loom.processes import ENVIRONMENT, Output, Process
from loom_kernel.testing import running
from loom_plugin_wasm import cache
from loom_plugin_wasm.process import Answer, Worker
from loom_plugin_wasm.worker.engines import examine
from loom_plugin_wasm.worker.frames import pack
from loom_plugin_wasm.worker.orders import Engine, Order

MEMORY = 512
"""MiB that it may take."""
SECONDS = 1.0
"""That a call may take."""

__all__ = ["Engine", "bare_worker"]


@asynccontextmanager
async def bare_worker(
    engine: Engine, module: bytes, code: Path
) -> AsyncIterator[Callable[[str, bytes], Awaitable[Answer]]]:
    """What is given calls an export of *module*, which is compiled into *code*."""
    cache.prepare(code)
    examine(Order(engine=engine, cache=str(code)), module)
    async with running() as runtime:
        host = runtime.host("bare")
        argv = (sys.executable, "-I", "-m", "loom_plugin_wasm.worker", str(MEMORY))
        process = await Process.start(
            Command(argv, environment=ENVIRONMENT),
            host.spawn,
            errors=Output(host.log, host.clock, 1 << 16).relay,
        )
        order = {"engine": engine, "cache": str(code)}
        worker = await Worker.load(process, pack({"op": "load", "order": order}, module), 10.0)
        yield lambda export, content: worker.call(export, content, SECONDS)
        await worker.aclose()
