"""Measure a call of 1 KiB beside what it is made of: `python plugins/wasm/tests/measure.py`.

Prints microseconds, the median of many: the engine's own call in this process with an instance
made before, a round trip of 1 KiB over pipes to a bare process, a call through the pool of
workers, and one through the broker.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[3]))

from loom_plugin_wasm import cache
from loom_plugin_wasm.worker.engines import examine, make_runner
from loom_plugin_wasm.worker.orders import Order

from plugins.wasm.tests.site import App, build_c, manifest

ROUNDS = 500
TEXT = {"text": "x" * 1000}
CONTENT = b'{"text":"' + b"x" * 1000 + b'"}'
ECHO = "import os\nwhile data := os.read(0, 65536): os.write(1, data)"


def raw(module: bytes, kind: str) -> float:
    """The call alone: instances are made before, as the worker does between calls."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "code")
        cache.prepare(place)
        order = Order(engine=kind, cache=str(place))  # type: ignore[arg-type]  # one of two words
        examine(order, module)
        runner = make_runner(order, module)
        times = []
        for _ in range(ROUNDS):
            runner.prepare()
            begin = perf_counter()
            runner.call("echo", CONTENT)
            times.append(perf_counter() - begin)
    return median(times) * 1e6


def pipe() -> float:
    """A round trip over pipes, without asyncio."""
    command = [sys.executable, "-c", ECHO]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        times = []
        for _ in range(ROUNDS):
            begin = perf_counter()
            process.stdin.write(CONTENT)
            process.stdout.read(65536)
            times.append(perf_counter() - begin)
        process.stdin.close()
    return median(times) * 1e6


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = perf_counter()
        await call()
        times.append(perf_counter() - begin)
    return median(times) * 1e6


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder))
        extism = build_c("words.c", app.folder / "words.wasm")
        core = build_c("words_core.c", app.folder / "plain.wasm")
        app.add("words", extism, manifest("echo"))
        app.add("plain", core, manifest("echo"), kind="component")
        print(f"pipe                 {pipe():8.1f}")
        for name, file, kind in (("words", extism, "extism"), ("plain", core, "component")):
            print(f"{kind:<10} raw call  {raw(file.read_bytes(), kind):8.1f}")
            async with app.running():
                through = await timed(lambda: app.call(f"{name}:echo", TEXT))  # noqa: B023
            print(f"{kind:<10} broker    {through:8.1f}")


if __name__ == "__main__":
    asyncio.run(main())
