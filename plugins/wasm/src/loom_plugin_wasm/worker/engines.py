"""Which engine runs a module, and what it says of one without running it."""

from __future__ import annotations

from typing import Any

from loom_plugin_wasm.worker.orders import Failed, Order, Runner

COMPONENT = b"\0asm\x0d\0\x01\0"
"""How a component begins; a core module has another version."""


def make_runner(order: Order, module: bytes) -> Runner:
    """*module*, compiled before, ready to be called."""
    if order.engine == "extism":
        from loom_plugin_wasm.worker.plugins import ExtismRunner

        return ExtismRunner(order, module)
    if module.startswith(COMPONENT):
        from loom_plugin_wasm.worker.components import ComponentRunner

        return ComponentRunner(order)
    from loom_plugin_wasm.worker.cores import CoreRunner

    return CoreRunner(order)


def examine(order: Order, module: bytes) -> dict[str, Any]:
    """Compile *module* into the cache; its imports and exports. Nothing of it runs."""
    if module.startswith(COMPONENT):
        if order.engine == "extism":
            raise Failed("error", 'it is a component; write kind = "component"')
        from loom_plugin_wasm.worker.components import compile_component

        return compile_component(order, module)
    from loom_plugin_wasm.worker.cores import compile_core

    found = compile_core(order, module)
    if order.engine == "extism":
        from loom_plugin_wasm.worker.plugins import warm_cache

        warm_cache(order, module)
    return found
