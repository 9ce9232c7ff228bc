from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import loom
import loom_kernel
import loom_proto
from loom import call_tool
from loom.contracts import ToolCall, ToolDescriptor, ToolResult
from loom.pins import Pins
from loom.processes import ProgramMissing
from loom_kernel import Envelope, Host, Paths, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until
from loom_plugin_process.program import locate, read_programs
from loom_plugin_process.trust import KIND, record_of

PROGRAMS = Path(__file__).parent / "programs"


def sources() -> list[str]:
    """What an interpreter needs that runs Loom from a checkout."""
    return [str(Path(module.__path__[0]).parent) for module in (loom, loom_kernel, loom_proto)]


def program(file: str, **more: Any) -> dict[str, Any]:
    """The table of a plugin in Python among the tests' programs."""
    return {"command": ["python3", str(PROGRAMS / file)], "read": sources(), **more}


class House:
    """A runtime with programs, a caller, and a record of what is told of them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.caller: Host = runtime.host("caller")
        self.owner: Host = runtime.host("cli")
        self.events = EventRecorder(runtime.host("witness"), ">")

    async def call(self, tool: str, timeout: float = 5.0, /, **arguments: Any) -> ToolResult:
        return await call_tool(self.caller, ToolCall(tool, arguments, timeout=timeout))

    async def ask(self, name: str, action: str, **more: str) -> dict[str, Any]:
        """What the owner hears who asks that of plugin *name*."""
        asked = {"name": name, "action": action, **more}
        answer: dict[str, Any] = (
            await self.owner.request("process.control", asked, timeout=15.0)
        ).data
        return answer

    async def records(self) -> dict[str, dict[str, Any]]:
        found = (await self.caller.request("process.list")).data["plugins"]
        return {record["name"]: record for record in found}

    async def record(self, name: str) -> dict[str, Any]:
        return (await self.records())[name]

    async def tools(self) -> list[ToolDescriptor]:
        found: list[ToolDescriptor] = (await self.caller.request("tool.list")).data["tools"]
        return found

    async def reached(self, name: str, *states: str, timeout: float = 15.0) -> dict[str, Any]:
        """Wait until the plugin is in one of *states*."""
        seen = len(self.told(name))
        if (record := await self.record(name))["state"] not in states:
            await wait_until(lambda: set(self.told(name)[seen:]) & set(states), timeout)
            record = await self.record(name)
        return record

    def refusals(self, name: str) -> list[Envelope]:
        """What was told that plugin *name* asked for, or did, without a grant."""
        found = self.events.on("plugin.refused")
        return [event for event in found if event.data["plugin"] == name]

    def told(self, name: str) -> list[str]:
        """The states that were told of it, in order."""
        topics = [event.topic.rpartition(".")[2] for event in self.events.on(f"process.{name}.*")]
        return ["running" if topic == "started" else topic for topic in topics]


@asynccontextmanager
async def house(
    project: Path,
    programs: Mapping[str, Mapping[str, Any]],
    *more: str,
    trusted: bool = True,
    **settings: float,
) -> AsyncIterator[House]:
    """A runtime with *programs*, which are trusted unless told otherwise."""
    if trusted:
        trust(project, programs)
    config = {"process": dict(programs), "plugins": {"process": settings}}
    wanted = ("tools", "sandbox", "process", *more)
    async with running(*wanted, config=config, project=project) as runtime:
        yield House(runtime)


def trust(project: Path, programs: Mapping[str, Mapping[str, Any]]) -> None:
    """Pin *programs* as they are."""
    paths = Paths(project, project, project, project)
    for name, found in read_programs(programs).items():
        with suppress(ProgramMissing):
            Pins(paths, KIND).put(name, record_of(found, locate(found, paths), paths))


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that nobody has waited for is dead."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
