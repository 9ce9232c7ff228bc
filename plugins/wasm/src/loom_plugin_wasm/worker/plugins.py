"""Extism: bytes in, bytes out, by the calling convention of https://extism.org."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import extism  # type: ignore[import-untyped]  # it has no types
from extism import ValType
from extism.extism import CompiledPlugin  # type: ignore[import-untyped]  # it has no types

from loom_plugin_wasm.worker.offers import LONGEST_LINE, Offers
from loom_plugin_wasm.worker.orders import LARGEST, Failed, Order, first_line

NAMESPACE = "extism:host/user"
PAGES_PER_MIB = 16
_TRAP = "wasm backtrace"

Answer = Callable[[Any, Any], Any]


class ExtismRunner:
    """An Extism plugin; each call has an instance of its own, made before it is needed."""

    def __init__(self, order: Order, module: bytes) -> None:
        self._offers = Offers(order.config)
        self._compiled = compiled(order, module, _functions(order, self._offers))
        self._next: extism.Plugin | None = None
        self._spent: extism.Plugin | None = None
        """It is cleared away between calls, as that takes its time."""

    def prepare(self) -> None:
        """See `Runner`."""
        self._spent = None
        if self._next is None:
            self._next = extism.Plugin(self._compiled)

    def call(self, export: str, content: bytes) -> bytes:
        """See `Runner`."""
        self._offers.begin()
        self.prepare()
        if (plugin := self._next) is None:
            raise Failed("error", "it has no instance")
        self._spent, self._next = plugin, None
        try:
            answer: memoryview = plugin.call(export, content, parse=None)
            if len(answer) > LARGEST:
                raise Failed("error", f"its answer is longer than {LARGEST} bytes")
            return bytes(answer)
        except extism.Error as error:
            raise _failure(str(error), error) from None


def compiled(order: Order, module: bytes, functions: list[Any]) -> CompiledPlugin:
    """*module* as its engine has it; from the cache, if it was compiled before."""
    os.environ["EXTISM_CACHE_CONFIG"] = f"{order.cache}/cache.toml"
    manifest = {
        "wasm": [{"data": module}],
        "memory": {"max_pages": order.memory * PAGES_PER_MIB, "max_http_response_bytes": LARGEST},
        "timeout_ms": max(int(order.seconds * 1000), 1),
        "allowed_hosts": [],
        "allowed_paths": {
            **{f"ro:{path}": path for path in order.read},
            **{path: path for path in order.write},
        },
        "config": order.config if "config" in order.functions else {},
    }
    return CompiledPlugin(manifest, wasi=order.has_wasi, functions=functions)


def warm_cache(order: Order, module: bytes) -> None:
    """Compile *module*; one with imports that were not granted is compiled all the same."""
    try:
        compiled(order, module, _functions(order, Offers({})))
    except extism.Error as error:
        if "unknown import" not in str(error):
            raise


def _failure(said: str, error: BaseException) -> Failed:
    if said == "timeout":
        return Failed("timeout", "it took too long")
    if said == "oom":
        return Failed("memory", "it wanted more memory than it may have")
    is_trap = _TRAP in said
    return Failed("trap" if is_trap else "error", first_line(error))


def _functions(order: Order, offers: Offers) -> list[Any]:
    known = {
        "log": _function(
            "log", (ValType.I64,), (), lambda plugin, given: offers.log(_text(plugin, given[0]))
        ),
        "now": _function("now", (), (ValType.I64,), lambda _plugin, _given: offers.now()),
        "random": _function("random", (), (ValType.I64,), lambda _plugin, _given: offers.random()),
        "progress": _function(
            "progress",
            (ValType.F64, ValType.F64, ValType.I64),
            (),
            lambda plugin, given: _progress(offers, plugin, given),
        ),
    }
    return [known[name] for name in order.functions if name in known]


def _progress(offers: Offers, plugin: Any, given: Any) -> None:
    done, total, place = given
    offers.progress(done.value, total.value, _text(plugin, place))


def _text(plugin: Any, place: Any) -> str:
    """The text at *place*: a guest may hand over any number, and forge the length of a block."""
    block = plugin.memory_at_offset(place)
    block.length = min(block.length, LONGEST_LINE)
    text = bytes(plugin.memory(block)) if block.length else b""
    return text.decode("utf-8", "replace")


def _function(name: str, takes: tuple[Any, ...], gives: tuple[Any, ...], answer: Answer) -> Any:
    """*answer* as a host function. What it raises would be swallowed, so it must not raise."""

    def run(plugin: Any, given: Any, results: Any) -> None:
        answered = answer(plugin, given)
        if gives:
            results[0].value = answered

    return extism.host_fn(name, NAMESPACE, (list(takes), list(gives)))(run)
