"""The ways in which tools can be provided. A new one is a class here, and a line in `TIERS`."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from loom import ToolProvider
from loom.bridge import bridge_folder
from loom.contracts import ToolCall
from loom_kernel import Runtime
from loom_kernel.testing import running

from plugins.bridge.tests.grants import grant
from plugins.mcp.tests.house import open_house
from plugins.process.tests.house import sources, trust
from plugins.wasm.tests.site import CLANG, GUESTS, App, compile_c
from tests.conformance.node import install, program
from tests.conformance.tools.handlers import HANDLERS, descriptors
from tests.conformance.tools.programs.component import PAGES, component
from workspace import ROOT

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
TEMPLATE = "plugins/new/src/loom_plugin_new/templates/process-tool-node"
ALL = frozenset({"echo", "add", "fail", "sleep", "big", "steps", "crash"})
GUEST = ("-fno-builtin", f"-Wl,--initial-memory={PAGES << 16}")
QUICK = {"first_delay": 0.05, "health_interval": 0.5, "cancel_timeout": 0.5, "kill_after": 0.5}


Crash = Literal["contained", "recovers", "remains"]


class Tier(Protocol):
    """One way to provide the tools of `tools.json`."""

    provider: str
    """The kind of provider that its descriptors name."""
    tools: frozenset[str] = ALL
    """Those that it can offer, without `kit:`; a scenario that needs another is not played."""
    crash: Crash = "recovers"
    """What becomes of it after a crash: it was the call's alone, as nothing of the tool can have
    an effect outside; or it is gone and there again by itself; or it stays away."""
    at_once: int = 64
    """Calls of one flood that it takes at least."""
    tells_all: bool = True
    """Whether all of a quick row of progress is told, and not only the latest now and then."""

    def start(self, folder: Path) -> AbstractAsyncContextManager[Runtime]:
        """A runtime with a broker, to which the tools are announced, now or soon."""
        ...

    def value(self, output: Any) -> Any:
        """What a tool gave, in the *output* that the caller sees."""
        return output


class Native(Tier):
    """In the runtime's own process: a crash would be everybody's."""

    provider = "native"
    tools = ALL - {"crash"}

    @asynccontextmanager
    async def start(self, folder: Path) -> AsyncIterator[Runtime]:
        async with running("tools", project=folder) as runtime:
            provider = ToolProvider(runtime.host("kit"))
            for tool in descriptors(self.provider):
                provider.add(tool, partial(self._run, provider))
            await provider.start()
            yield runtime

    async def _run(self, provider: ToolProvider, call: ToolCall) -> Any:
        return await HANDLERS[call.name](call.arguments, partial(provider.progress, call))


class Process(Tier):
    """A plugin in a process of its own."""

    provider = "process"

    def table(self, folder: Path) -> Mapping[str, Any]:
        """What `[process.kit]` holds."""
        return {
            "command": ["python3", str(PROGRAMS / "process.py")],
            "env": {"PYTHONPATH": str(ROOT)},
            "read": [str(HERE), *sources()],
        }

    @asynccontextmanager
    async def start(self, folder: Path) -> AsyncIterator[Runtime]:
        programs = {"kit": self.table(folder)}
        trust(folder, programs)
        config = {"process": programs, "plugins": {"process": QUICK}}
        plugins = ("tools", "sandbox", "process")
        async with running(*plugins, config=config, project=folder) as runtime:
            yield runtime


class NodeProcess(Process):
    """The same for Node, on what `loom new process-tool --lang node` makes."""

    def table(self, folder: Path) -> Mapping[str, Any]:
        program("node")
        made = ROOT / TEMPLATE / "{{ cookiecutter.name }}"
        shutil.copytree(made, folder / "kit")
        for file in ("package.json", "package-lock.json"):
            text = (made / file).read_text("utf-8").replace("{{ cookiecutter.name }}", "kit")
            (folder / "kit" / file).write_text(text, "utf-8")
        install(folder / "kit")
        for ours in (HERE / "tools.json", PROGRAMS / "process.mjs"):
            shutil.copy(ours, folder / "kit")
        return {"command": ["node", "process.mjs"], "cwd": "kit", "memory": 0}


class BridgeAgent(Tier):
    """An agent in another process, which somebody else has started."""

    provider, crash = "agent", "remains"

    @asynccontextmanager
    async def start(self, folder: Path) -> AsyncIterator[Runtime]:
        settings = {"plugins": {"bridge": {"heartbeat": 0.2, "lease": 0.8, "handshake": 2.0}}}
        async with running("agents", "tools", "bridge", config=settings) as runtime:
            state = bridge_folder(runtime.host("kit").world.paths)
            words = (f"unix://{state}/frames.sock", grant(state, "kit"))
            command = (sys.executable, "-m", "tests.conformance.tools.programs.agent", *words)
            process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
            try:
                yield runtime
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()


class Extism(Tier):
    """A guest in WebAssembly: a function of an Extism plugin."""

    provider, crash = "wasm", "contained"
    kind = "extism"

    def build(self, target: Path) -> None:
        flags = (*CLANG, *GUEST, "-DEXTISM", f"-I{GUESTS}")
        compile_c(PROGRAMS / "kit.c", target, flags)

    @asynccontextmanager
    async def start(self, folder: Path) -> AsyncIterator[Runtime]:
        self.build(folder / "kit.wasm")
        described = json.loads((HERE / "tools.json").read_text("utf-8"))
        tools = [{**tool, "name": tool["name"].removeprefix("kit:")} for tool in described]
        app = App(folder)
        app.tables["kit"] = {
            "module": "kit.wasm", "kind": self.kind, "tool": tools, "seconds": 60.0,
            "functions": ["now", "progress"], "instances": 4,
        }  # fmt: skip
        async with app.running():
            yield app.runtime


class Component(Extism):
    """The same as a WASI component, run by wasmtime."""

    kind = "component"

    def build(self, target: Path) -> None:
        compile_c(PROGRAMS / "kit.c", target, (*CLANG, *GUEST, "-Wl,--import-memory"))
        target.write_bytes(component(target.read_bytes()))


class McpServer(Tier):
    """A server of the Model Context Protocol, over its standard input and output."""

    provider = "mcp"
    at_once = 32
    tells_all = False

    @asynccontextmanager
    async def start(self, folder: Path) -> AsyncIterator[Runtime]:
        table = {
            "command": sys.executable,
            "args": [str(PROGRAMS / "server.py")],
            "env": {"PYTHONPATH": str(ROOT)},
            "read": [str(HERE), *sources()],
        }
        async with open_house(folder, kit=table) as house:
            yield house.runtime

    def value(self, output: Any) -> Any:
        return json.loads(output["content"][0]["text"])


TIERS: dict[str, Tier] = {
    "native": Native(),
    "process-python": Process(),
    "process-node": NodeProcess(),
    "bridge-agent": BridgeAgent(),
    "extism": Extism(),
    "component": Component(),
    "mcp": McpServer(),
}
