"""All modules of an app: their tools offered, events handed to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from loom import ToolProvider
from loom.contracts import Audit, Preparation, ToolCall, ToolError
from loom.pins import Pins
from loom_kernel import Health, Host, LoomError, ServiceMissing, decode_json

from loom_plugin_wasm.access import Access
from loom_plugin_wasm.events import Listener
from loom_plugin_wasm.manifests import Tool, describe
from loom_plugin_wasm.module import GuestModule
from loom_plugin_wasm.settings import Table


class Keeper:
    """Loads the modules of *tables* and keeps what they offer up to date."""

    def __init__(self, host: Host, tables: dict[str, Table]) -> None:
        self._host = host
        self._provider = ToolProvider(host)
        self.pins = Pins(host.world.paths, "wasm")
        self.modules = {
            name: GuestModule(host, name, table, self.pins) for name, table in tables.items()
        }
        self._listeners = {name: Listener(host, found) for name, found in self.modules.items()}
        self._offered: dict[str, list[str]] = {}
        self._loading = asyncio.Lock()

    async def start(self) -> None:
        """Announce what there is, and load the modules, one after the other, in the background."""
        self._provider.awaited = frozenset(self.modules)
        await self._provider.start()
        self._host.spawn(self._load_all(), "load")

    async def _load_all(self) -> None:
        for name in self.modules:
            await self.load(name)

    async def load(self, name: str) -> GuestModule:
        """Load module *name*, or load it again; the result says in which state it is."""
        module = self.modules[name]
        async with self._loading:
            await module.load()
            self._offer(module)
            self._provider.awaited -= {name}
            self._listeners[name].update()
            await self._provider.announce()
        self._record(f"wasm.module.{module.state}", name, module.reason)
        level = "ready" if module.state == "ready" else f"{module.state}: {module.reason}"
        self._host.log.info("module %s: %s", name, level)
        news = {"name": name, "state": module.state, "reason": module.reason}
        await self._host.publish("wasm.module.changed", news, subject=name)
        return module

    def _record(self, event: str, name: str, reason: str) -> None:
        """Tell the audit, if there is one."""
        with suppress(ServiceMissing):
            self._host.require(Audit).record(event, self._host.name, name, reason=reason)

    def _offer(self, module: GuestModule) -> None:
        for tool_name in self._offered.pop(module.name, []):
            self._provider.remove(tool_name)
        if module.state != "ready":
            return
        for tool in module.manifest.tool:
            descriptor = describe(module.name, tool, module.table)
            self._provider.add(
                descriptor, partial(self._run, module, tool), partial(_prepare, module, tool)
            )
            self._offered.setdefault(module.name, []).append(descriptor.name)

    async def _run(self, module: GuestModule, tool: Tool, call: ToolCall) -> Any:
        """Call *tool*: its arguments in JSON, its result in JSON."""
        content = msgspec.json.encode(call.arguments)
        tell = partial(self._provider.progress, call)
        answer = await module.call(call.name, tool.export or tool.name, content, tell)
        try:
            return decode_json(answer)
        except LoomError as error:
            raise ToolError(call.name, "ACTION_ERROR", f"its answer is no JSON: {error}") from None

    def health(self) -> Health:
        """How the modules are."""
        bad = [m for m in self.modules.values() if m.state not in ("ready", "disabled", "loading")]
        ready = sum(module.state == "ready" for module in self.modules.values())
        said = [f"{m.name} is {m.state} ({m.reason})" for m in bad]
        message = "; ".join([f"{ready} of {len(self.modules)} modules are ready", *said])
        return Health(healthy=not bad, message=message, metrics={"ready": float(ready)})

    async def stop(self) -> None:
        """End all workers."""
        await asyncio.gather(*(module.stop() for module in self.modules.values()))


async def _prepare(module: GuestModule, tool: Tool, _: ToolCall) -> Preparation:
    """Which module would run, and what it can reach."""
    table = module.table
    return Preparation(
        summary=f"run {tool.export or tool.name} of the WASM module {module.name} ({table.kind}, "
        f"sha256 {module.digest[:16]}); {Access.of(table).sentence()}",
        files={table.module: module.digest},
    )
