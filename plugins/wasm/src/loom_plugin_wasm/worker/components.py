"""Components: typed, by the component model (https://component-model.bytecodealliance.org).

A guest exports functions `(input: string) -> result<string, string>`, or such that give a plain
`string`. From the interface `loom:tool/host@0.1.0` it may be given `log(text: string)`,
`now() -> s64`, `random() -> s64`, `config(key: string) -> string` and
`progress(done: f64, total: f64, message: string)`.
"""

from __future__ import annotations

from typing import Any

import wasmtime
from wasmtime import component

from loom_plugin_wasm.worker.offers import LONGEST_LINE, Offers
from loom_plugin_wasm.worker.orders import HOST_FUNCTIONS, LARGEST, Failed, Order
from loom_plugin_wasm.worker.wasmtimes import (
    Signatures,
    Ticker,
    code_file,
    failure,
    make_engine,
    make_store,
    ticks,
)

INTERFACE = "loom:tool/host@0.1.0"


def compile_component(order: Order, module: bytes) -> dict[str, Any]:
    """Compile *module* into the cache; its imports and exports."""
    engine = make_engine()
    made = component.Component(engine, module)
    code_file(order).write_bytes(made.serialize())
    kind = made.type
    return {
        "imports": sorted(_names(kind.imports(engine), engine)),
        "exports": sorted(kind.exports(engine)),
    }


def _names(imports: Any, engine: wasmtime.Engine) -> list[str]:
    """The imports, those of an interface one by one."""
    names: list[str] = []
    for name, wanted in imports.items():
        kind = wanted.ty
        is_interface = isinstance(kind, component.ComponentInstanceType)
        parts = kind.exports(engine) if is_interface else ()
        names += [f"{name}::{part}" for part in parts] or [name]
    return names


class ComponentRunner:
    """A component; each call has an instance of its own, made before it is needed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._offers = Offers(order.config)
        self._engine = make_engine()
        self._component = component.Component.deserialize_file(self._engine, str(code_file(order)))
        self._linker = component.Linker(self._engine)
        if order.has_wasi:
            self._linker.add_wasip2()
        _define(self._linker, order, self._offers)
        self._ticker = Ticker(self._engine)
        self._signatures = Signatures()
        self._indexes: dict[str, component.ExportIndex | None] = {}
        self._next: tuple[wasmtime.Store, component.Instance] | None = None
        self._spent: tuple[wasmtime.Store, component.Instance] | None = None
        """It is cleared away between calls, as that takes its time."""

    def prepare(self) -> None:
        """See `Runner`."""
        self._spent = None
        if self._next is not None:
            return
        store = make_store(self._engine, self._order)
        try:
            with self._ticker:
                self._next = store, self._linker.instantiate(store, self._component)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise failure(error) from None

    def call(self, export: str, content: bytes) -> bytes:
        """See `Runner`."""
        self._offers.begin()
        self.prepare()
        if self._next is None:
            raise Failed("error", "it has no instance")
        store, instance = self._spent = self._next
        self._next = None
        function = self._find(store, instance, export)
        store.set_epoch_deadline(ticks(self._order.seconds))
        try:
            with self._ticker:
                return _answer(function(store, content.decode()))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise failure(error) from None

    def _find(self, store: wasmtime.Store, instance: component.Instance, export: str) -> Any:
        if export not in self._indexes:
            self._indexes[export] = self._component.get_export_index(export)
        index = self._indexes[export]
        function = None if index is None else instance.get_func(store, index)
        if function is None:
            raise Failed("error", f"it exports no {export!r}")
        return self._signatures.fix(export, function, store)


def _answer(said: Any) -> bytes:
    is_error = getattr(said, "tag", "ok") == "err"
    text = getattr(said, "payload", said)
    if not isinstance(text, str):
        raise Failed("error", "its answer is no string")
    if is_error:
        raise Failed("error", text[:LONGEST_LINE])
    answer = text.encode()
    if len(answer) > LARGEST:
        raise Failed("error", f"its answer is longer than {LARGEST} bytes")
    return answer


def _define(linker: component.Linker, order: Order, offers: Offers) -> None:
    """Give the functions that were granted."""
    known: dict[str, Any] = {
        "log": lambda _store, text: offers.log(text),
        "now": lambda _store: offers.now(),
        "random": lambda _store: offers.random(),
        "config": lambda _store, key: offers.config(key),
        "progress": lambda _store, done, total, text: offers.progress(done, total, text),
    }
    granted = [name for name in HOST_FUNCTIONS if name in order.functions]
    if granted:
        with linker.root() as root, root.add_instance(INTERFACE) as place:
            for name in granted:
                place.add_func(name, known[name])
