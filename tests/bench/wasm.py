"""What a call of a guest in WebAssembly costs, beside the engine's own call and a bare pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import extism  # type: ignore[import-untyped]  # it has no types
import wasmtime
from extism.extism import CompiledPlugin  # type: ignore[import-untyped]  # it has no types
from wasmtime import component

from plugins.wasm.tests.bare import Engine, bare_worker
from plugins.wasm.tests.site import App, build_c, build_wat, manifest
from plugins.wasm.tests.snippets import ECHO_COMPONENT

ARGUMENTS = {"text": "x" * 1_000}
CONTENT = b'{"text":"' + b"x" * 1_000 + b'"}'
KINDS = ("core", "component", "extism")
ECHO = "import os\nwhile data := os.read(0, 65536): os.write(1, data)"
KEPT = 128
"""Calls of one instance; some guests never give memory back."""
Once = Callable[[], Awaitable[Any]]
Call = Callable[[], object]


def build(kind: str, target: Path) -> Path:
    """A guest of *kind* that says again what it is told."""
    if kind == "component":
        return build_wat(ECHO_COMPONENT, target)
    return build_c("words.c" if kind == "extism" else "words_core.c", target)


def engine_of(kind: str) -> Engine:
    """What loom.toml calls it."""
    return "extism" if kind == "extism" else "component"


def core_call(module: bytes) -> Callable[[], Call]:
    """Makes instances of *module*; what it gives calls one of them."""
    engine = wasmtime.Engine()
    made = wasmtime.Linker(engine).instantiate_pre(wasmtime.Module(engine, module))

    def instance() -> Call:
        store = wasmtime.Store(engine)
        exports: Any = made.instantiate(store).exports(store)
        memory, allocate, echo = (exports[name] for name in ("memory", "loom_alloc", "echo"))

        def call() -> bytes:
            place = allocate(store, len(CONTENT))
            memory.write(store, CONTENT, place)
            packed = echo(store, place, len(CONTENT))
            return bytes(memory.read(store, packed >> 32, (packed >> 32) + len(CONTENT)))

        return call

    return instance


def component_call(module: bytes) -> Callable[[], Call]:
    engine = wasmtime.Engine()
    made, linker = component.Component(engine, module), component.Linker(engine)

    def instance() -> Call:
        store = wasmtime.Store(engine)
        echo: Any = linker.instantiate(store, made).get_func(store, "echo")
        return lambda: echo(store, CONTENT.decode())

    return instance


def extism_call(module: bytes) -> Callable[[], Call]:
    made = CompiledPlugin({"wasm": [{"data": module}]})

    def instance() -> Call:
        plugin = extism.Plugin(made)
        return lambda: plugin.call("echo", CONTENT)

    return instance


RAW = {"core": core_call, "component": component_call, "extism": extism_call}


@contextmanager
def pipe() -> Iterator[Call]:
    """A round trip over pipes to a bare process, without asyncio."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        there, back = process.stdin.fileno(), process.stdout.fileno()

        def turn() -> None:
            os.write(there, CONTENT)
            os.read(back, 1 << 16)

        yield turn
        process.stdin.close()


@asynccontextmanager
async def limit(kind: str) -> AsyncIterator[Once]:
    """The engine's own call of an instance made before, and a round trip over a pipe."""
    with tempfile.TemporaryDirectory() as folder, pipe() as turn:
        instance = RAW[kind](build(kind, Path(folder, "echo.wasm")).read_bytes())
        calls = count()
        call = instance()

        async def once() -> None:
            nonlocal call
            if next(calls) % KEPT == 0:
                call = instance()
            call()
            turn()

        yield once


@asynccontextmanager
async def worker(kind: str) -> AsyncIterator[Once]:
    """A worker asked over its pipes, as fast as it answers: each call has a fresh instance."""
    with tempfile.TemporaryDirectory() as folder:
        module = build(kind, Path(folder, "echo.wasm")).read_bytes()
        async with bare_worker(engine_of(kind), module, Path(folder, "code")) as call:
            yield lambda: call("echo", CONTENT)


@asynccontextmanager
async def brokered(kind: str) -> AsyncIterator[Once]:
    """The same as a tool, in the sandbox and through the broker."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder))
        module = build(kind, app.folder / "echo.wasm")
        app.add("say", module, manifest("echo"), engine_of(kind))
        async with app.running():
            yield lambda: app.call("say:echo", ARGUMENTS)
