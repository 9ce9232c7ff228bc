"""wasmtime, as both kinds of its modules are run: limits, time, WASI without rights, the cache."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any, NamedTuple

import wasmtime

from loom_plugin_wasm.worker.offers import moment
from loom_plugin_wasm.worker.orders import Failed, Order, first_line

TICK = 0.01
"""Seconds."""
MOST_ELEMENTS = 100_000
"""Of all tables of an instance."""
MOST_INSTANCES = 64
"""That one component may be made of; also its tables and memories."""
CODE = "code"
_TOO_MUCH_MEMORY = ("exceeds memory limits", "exceeds table limits", "memory allocation", "mmap")


def make_engine() -> wasmtime.Engine:
    """An engine whose calls can be interrupted."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    return wasmtime.Engine(config)


def make_store(engine: wasmtime.Engine, order: Order) -> wasmtime.Store:
    """A store bounded in memory, with no rights but those of *order*."""
    store = wasmtime.Store(engine)
    store.set_limits(
        memory_size=order.memory << 20, table_elements=MOST_ELEMENTS, instances=MOST_INSTANCES,
        tables=MOST_INSTANCES, memories=MOST_INSTANCES,
    )  # fmt: skip
    if order.has_wasi:
        wasi = wasmtime.WasiConfig()
        for path in order.read:
            wasi.preopen_dir(path, path, False)
        for path in order.write:
            wasi.preopen_dir(path, path, True)
        store.set_wasi(wasi)
    store.set_epoch_deadline(ticks(order.seconds))
    return store


def ticks(seconds: float) -> int:
    """The deadline of a call that begins now; the first tick may come at once."""
    return math.ceil(seconds / TICK) + 1


def code_file(order: Order) -> Path:
    """Where the compiled code is."""
    return Path(order.cache, CODE)


class Signature(NamedTuple):
    """What a function takes and gives, as the binding asks for it."""

    params: Any
    results: Any
    result: Any


class Signatures:
    """The signatures of a module's functions, by their names.

    The binding asks the engine for a function's type at every call, and makes it anew: that takes
    longer than the call itself. Types belong to no instance, so one answer serves all.
    """

    def __init__(self) -> None:
        self._known: dict[str, Signature] = {}

    def fix(self, name: str, function: Any, store: wasmtime.Store) -> Any:
        """*function*, which knows its type from now on."""
        signature = self._known.get(name)
        if signature is None:
            kind = function.type(store)
            results, result = getattr(kind, "results", None), getattr(kind, "result", None)
            signature = self._known[name] = Signature(kind.params, results, result)
        function.type = lambda _store: signature
        return function


class Ticker:
    """Lets time pass for an engine while something of it runs, and sleeps while nothing does."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._is_running = False
        self._busy = threading.Event()
        self._never = threading.Event()
        threading.Thread(target=self._tick, name="ticker", daemon=True).start()

    def __enter__(self) -> None:
        self._is_running = True
        if not self._busy.is_set():
            self._busy.set()

    def __exit__(self, *_: object) -> None:
        self._is_running = False

    def _tick(self) -> None:
        last = moment()
        while True:
            if not self._busy.is_set():
                self._busy.wait()
                last = moment()
            self._never.wait(TICK)
            # It may have had to wait for its turn: a guest can keep the interpreter busy.
            passed = max(int((moment() - last) / TICK), 1)
            last += passed * TICK
            for _ in range(passed):
                self._engine.increment_epoch()
            if not self._is_running:
                self._busy.clear()
                if self._is_running:  # it began in between
                    self._busy.set()


def failure(error: wasmtime.Trap | wasmtime.WasmtimeError) -> Failed:
    """What *error* means to whoever called."""
    said = str(error)
    code = error.trap_code if isinstance(error, wasmtime.Trap) else None
    if code == wasmtime.TrapCode.INTERRUPT or "wasm trap: interrupt" in said:
        return Failed("timeout", "it took too long")
    if any(words in said for words in _TOO_MUCH_MEMORY):
        return Failed("memory", "it wanted more memory than it may have")
    is_trap = code is not None or "wasm trap" in said
    return Failed("trap" if is_trap else "error", first_line(error))
