"""Core modules, by a convention of Loom's own, the smallest there is.

A guest exports `memory`, `loom_alloc(size: i32) -> i32`, and functions
`(pointer: i32, length: i32) -> i64` whose result is the answer's place: pointer << 32 | length.
If bit 31 of the length is set, the answer is the message of an error. From the module `loom` it
may be given `log(pointer, length)`, `now() -> i64`, `random() -> i64`,
`config(key, key_length, place, size) -> i32`: the length of the value, written if it fits, and
`progress(done: f64, total: f64, pointer, length)`.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import wasmtime
from wasmtime import FuncType, Val, ValType

from loom_plugin_wasm.worker.offers import LONGEST_LINE, Offers
from loom_plugin_wasm.worker.orders import LARGEST, Failed, Order
from loom_plugin_wasm.worker.wasmtimes import (
    Signatures,
    Ticker,
    code_file,
    failure,
    make_engine,
    make_store,
    ticks,
)

NAMESPACE = "loom"
GUEST = "guest"
MEMORY = "memory"
ALLOCATE, START = "loom_alloc", "_initialize"
_IS_ERROR = 1 << 31
_NEARLY_ALL = 0.75
"""Of the memory it may have: if it trapped with that much, it is because there was no more."""


def compile_core(order: Order, module: bytes) -> dict[str, Any]:
    """Compile *module* into the cache; its imports and exports."""
    made = wasmtime.Module(make_engine(), module)
    code_file(order).write_bytes(made.serialize())
    return {
        "imports": sorted({f"{found.module}::{found.name}" for found in made.imports}),
        "exports": sorted(found.name for found in made.exports),
    }


class Instance(NamedTuple):
    """One instance, and what every call needs of it."""

    store: wasmtime.Store
    parts: wasmtime.Linker
    """Finds a part of it by its name; to list them all would cost more."""
    memory: Any
    allocate: Any


class CoreRunner:
    """A core module; each call has an instance of its own, made before it is needed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._offers = Offers(order.config)
        self._engine = make_engine()
        module = wasmtime.Module.deserialize_file(self._engine, str(code_file(order)))
        linker = wasmtime.Linker(self._engine)
        if order.has_wasi:
            linker.define_wasi()
        _define(linker, order, self._offers)
        self._prepared = linker.instantiate_pre(module)
        self._exports = frozenset(found.name for found in module.exports)
        self._ticker = Ticker(self._engine)
        self._signatures = Signatures()
        self._next: Instance | None = None
        self._spent: Instance | None = None
        """It is cleared away between calls, as that takes its time."""

    def prepare(self) -> None:
        """See `Runner`."""
        self._spent = None
        if self._next is not None:
            return
        for name in (MEMORY, ALLOCATE):
            if name not in self._exports:
                raise Failed("error", f"it exports no {name!r}")
        try:
            with self._ticker:
                self._next = self._make()
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise failure(error) from None

    def _make(self) -> Instance:
        store, parts = make_store(self._engine, self._order), wasmtime.Linker(self._engine)
        parts.define_instance(store, GUEST, self._prepared.instantiate(store))
        if START in self._exports:
            start: Any = parts.get(store, GUEST, START)
            start(store)
        allocate = self._signatures.fix(ALLOCATE, parts.get(store, GUEST, ALLOCATE), store)
        return Instance(store, parts, parts.get(store, GUEST, MEMORY), allocate)

    def call(self, export: str, content: bytes) -> bytes:
        """See `Runner`."""
        self._offers.begin()
        self.prepare()
        if self._next is None:
            raise Failed("error", "it has no instance")
        instance = self._spent = self._next
        self._next = None
        instance.store.set_epoch_deadline(ticks(self._order.seconds))
        try:
            with self._ticker:
                return self._exchange(instance, export, content)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise self._failure(error, instance) from None

    def _exchange(self, instance: Instance, export: str, content: bytes) -> bytes:
        if export not in self._exports:
            raise Failed("error", f"it exports no {export!r}")
        store, parts, memory, allocate = instance
        function = self._signatures.fix(export, parts.get(store, GUEST, export), store)
        size = Val.i32(len(content))
        place = allocate(store, size) & 0xFFFFFFFF
        _write(store, memory, place, content)
        return _answer(store, memory, function(store, Val.i32(place), size))

    def _failure(self, error: Any, instance: Instance) -> Failed:
        failed = failure(error)
        size = instance.memory.data_len(instance.store)
        if failed.code == "trap" and size > (self._order.memory << 20) * _NEARLY_ALL:
            return Failed("memory", "it ran out of the memory it may have")
        return failed


def _write(store: wasmtime.Store, memory: wasmtime.Memory, place: int, content: bytes) -> None:
    """Put *content* into the guest's memory, if there is such a place."""
    if place + len(content) > memory.data_len(store):
        raise Failed("error", f"{ALLOCATE} gave a place outside its memory")
    if content:
        ctypes.memmove(memory.get_buffer_ptr(store, len(content), place), content, len(content))


def _answer(store: wasmtime.Store, memory: wasmtime.Memory, packed: int) -> bytes:
    """What the guest put at the place that *packed* names."""
    begin, length = (packed >> 32) & 0xFFFFFFFF, packed & 0x7FFFFFFF
    if length > LARGEST:
        raise Failed("error", f"its answer is longer than {LARGEST} bytes")
    if begin + length > memory.data_len(store):
        raise Failed("error", "its answer lies outside its memory")
    answer = bytes(memory.get_buffer_ptr(store, length, begin)) if length else b""
    if packed & _IS_ERROR:
        raise Failed("error", answer.decode("utf-8", "replace")[:LONGEST_LINE])
    return answer


def _define(linker: wasmtime.Linker, order: Order, offers: Offers) -> None:
    """Give the functions that were granted."""

    def log(caller: wasmtime.Caller, place: int, length: int) -> None:
        offers.log(_text(caller, place, length))

    def progress(
        caller: wasmtime.Caller, done: float, total: float, place: int, length: int
    ) -> None:
        offers.progress(done, total, _text(caller, place, length))

    def config(caller: wasmtime.Caller, place: int, length: int, target: int, size: int) -> int:
        value = offers.config(_text(caller, place, length)).encode()
        if len(value) <= size & 0xFFFFFFFF:
            _memory(caller, target, len(value)).write(caller, value, target & 0xFFFFFFFF)
        return len(value)

    i32, i64, f64 = ValType.i32(), ValType.i64(), ValType.f64()
    known: dict[str, tuple[FuncType, Any, bool]] = {
        "log": (FuncType([i32, i32], []), log, True),
        "now": (FuncType([], [i64]), offers.now, False),
        "random": (FuncType([], [i64]), offers.random, False),
        "config": (FuncType([i32, i32, i32, i32], [i32]), config, True),
        "progress": (FuncType([f64, f64, i32, i32], []), progress, True),
    }
    for name in order.functions:
        if name in known:
            linker.define_func(NAMESPACE, name, *known[name])


def _text(caller: wasmtime.Caller, place: int, length: int) -> str:
    """The text that a guest hands over; what is longer than a line is cut."""
    place, length = place & 0xFFFFFFFF, min(length & 0xFFFFFFFF, LONGEST_LINE)
    text = bytes(_memory(caller, place, length).read(caller, place, place + length))
    return text.decode("utf-8", "replace")


def _memory(caller: wasmtime.Caller, place: int, length: int) -> wasmtime.Memory:
    """The guest's memory, which holds *length* bytes at *place*."""
    memory = caller.get("memory")
    if not isinstance(memory, wasmtime.Memory):
        raise wasmtime.Trap("a host function was called by a guest that exports no memory")
    if (place & 0xFFFFFFFF) + length > memory.data_len(caller):
        raise wasmtime.Trap("a host function was handed a place outside the guest's memory")
    return memory
