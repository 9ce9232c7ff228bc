"""The ways in which tools can be provided. A new one is a class here, and a line in `TIERS`."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import loom
import loom_kernel
import loom_proto
from loom import ToolProvider
from loom.bridge import bridge_folder
from loom.contracts import ToolCall
from loom_kernel import Runtime
from loom_kernel.testing import running

from plugins.bridge.tests.grants import grant
from plugins.process.tests.house import trust
from tests.conformance.node import install, program
from tests.conformance.tools.handlers import HANDLERS, descriptors
from workspace import ROOT

HERE = Path(__file__).parent
TEMPLATE = "plugins/new/src/loom_plugin_new/templates/process-tool-node"
ALL = frozenset({"echo", "add", "fail", "sleep", "big", "steps", "crash"})
QUICK = {"first_delay": 0.05, "health_interval": 0.5, "cancel_timeout": 0.5, "kill_after": 0.5}


class Tier(Protocol):
    """One way to provide the tools of `tools.json`."""

    provider: str
    """The kind of provider that its descriptors name."""
    tools: frozenset[str]
    """Those that it can offer, without `kit:`; a scenario that needs another is not played."""
    recovers: bool
    """Whether it is there again by itself after a crash."""

    def start(self, folder: Path) -> AbstractAsyncContextManager[Runtime]:
        """A runtime with a broker, to which the tools are announced, now or soon."""
        ...


class Native:
    """In the runtime's own process: a crash would be everybody's."""

    provider, recovers = "native", True
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


class Process:
    """A plugin in a process of its own."""

    provider, recovers = "process", True
    tools = ALL

    def table(self, folder: Path) -> Mapping[str, Any]:
        """What `[process.kit]` holds."""
        places = [Path(module.__path__[0]).parent for module in (loom, loom_kernel, loom_proto)]
        return {
            "command": ["python3", str(HERE / "programs" / "process.py")],
            "env": {"PYTHONPATH": str(ROOT)},
            "read": [str(HERE), *map(str, places)],
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
        for ours in (HERE / "tools.json", HERE / "programs" / "process.mjs"):
            shutil.copy(ours, folder / "kit")
        return {"command": ["node", "process.mjs"], "cwd": "kit", "memory": 0}


class BridgeAgent:
    """An agent in another process, which somebody else has started."""

    provider, recovers = "agent", False
    tools = ALL

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


TIERS: dict[str, Tier] = {
    "native": Native(),
    "process-python": Process(),
    "process-node": NodeProcess(),
    "bridge-agent": BridgeAgent(),
}
