"""An app with modules that are built from source, and somebody who calls their tools."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom import call_tool
from loom.contracts import ToolCall, ToolResult
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until
from wasmtime import wat2wasm

GUESTS = Path(__file__).parent / "guests"
PATIENCE = 30.0
CLANG = ("clang", "--target=wasm32", "-nostdlib", "-Wl,--no-entry", "-Os")
WITH_WASI = ("clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-Os")


def build_c(source: str, target: Path, flags: Sequence[str] = CLANG) -> Path:
    """Compile *source* (a name in guests/) to *target*."""
    return compile_c(GUESTS / source, target, flags)


def compile_c(source: Path, target: Path, flags: Sequence[str]) -> Path:
    subprocess.run([*flags, "-o", target, source], check=True, timeout=60)
    return target


def build_wat(text: str, target: Path) -> Path:
    """Assemble *text* to *target*."""
    target.write_bytes(wat2wasm(text))
    return target


def manifest(*exports: str, asks: str = "") -> str:
    """The manifest of a module whose tools are its *exports*."""
    asked = f"[asks]\n{asks}\n" if asks else ""
    tools = (f'[[tool]]\nname = "{name}"\ndescription = "Does {name}"\n' for name in exports)
    return asked + "".join(tools)


class App:
    """A folder with modules, and the runtime that has loaded them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[str, dict[str, Any]] = {}
        self.runtime: Runtime
        self.caller: Host
        self.owner: Host
        self.events: EventRecorder

    def add(self, name: str, module: Path, text: str, kind: str = "extism", **more: Any) -> None:
        """Put *module* into loom.toml under *name*, with the manifest *text* beside it."""
        module.with_suffix(".toml").write_text(text, "utf-8")
        self.tables[name] = {"module": str(module), "kind": kind, **more}

    @asynccontextmanager
    async def running(
        self, *, trust: bool = True, plugins: Sequence[str] = (), **settings: Any
    ) -> AsyncIterator[App]:
        """Run it; all modules are trusted and loaded, or refused, when it is entered."""
        config = {
            "wasm": self.tables,
            "plugins": {
                "wasm": settings,
                "tools": {"default_grants": ["fs.read", "fs.write"]},
            },
            "kernel": {"drain_timeout": 1.0},
        }
        names = ("tools", "sandbox", "wasm", *plugins)
        state = self.folder / "state"
        async with running(*names, config=config, project=self.folder, state=state) as runtime:
            self.runtime = runtime
            self.caller, self.owner = runtime.host("caller"), runtime.host("cli")
            self.events = EventRecorder(runtime.host("witness"), "wasm.>")
            await self.settle()
            if trust:
                for name in self.tables:
                    await self.trust(name)
            yield self

    async def settle(self) -> None:
        """Wait until no module is being loaded."""
        told = len(self.events.on("wasm.module.changed"))
        while any(m["state"] == "loading" for m in await self.listed()):
            told += 1
            await self.events.wait_for("wasm.module.changed", told, PATIENCE)

    async def listed(self) -> list[Mapping[str, Any]]:
        reply = await self.owner.request("wasm.module.list", {})
        modules: list[Mapping[str, Any]] = reply.data["modules"]
        return modules

    async def state(self, name: str) -> tuple[str, str]:
        """State and reason of module *name*."""
        (found,) = [module for module in await self.listed() if module["name"] == name]
        return found["state"], found["reason"]

    async def trust(self, name: str) -> Mapping[str, Any]:
        """What the owner is told when trusting *name* as it is now."""
        seen = await self.owner.request("wasm.module.examine", {"name": name}, timeout=60)
        if seen.data["code"] != "ACTION_OK":
            failed: Mapping[str, Any] = seen.data
            return failed
        accepted = {"name": name, "digest": seen.data["digest"]}
        reply = await self.owner.request("wasm.module.trust", accepted, timeout=60)
        data: Mapping[str, Any] = reply.data
        return data

    async def call(self, name: str, arguments: Any = None, **more: Any) -> ToolResult:
        return await call_tool(self.caller, ToolCall(name, arguments or {}, **more))


__all__ = ["App", "build_c", "build_wat", "manifest", "wait_until"]
