"""App folders whose agents run in real child processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom.contracts import AgentRecord, Agents
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until

QUICK = {"first_delay": 0.05, "longest_delay": 0.1}

ECHO = """
import os
from loom import Agent

async def handle(ctx, topic, event):
    await ctx.emit("{name}.says", {{"word": "{word}", "pid": os.getpid()}})

agent = Agent("{name}", ["{name}.hears"], on_event=handle)
"""


class App:
    """A running app folder."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.host: Host = runtime.host("outside")
        self.folder = folder
        self.agents: Agents = self.host.require(Agents)
        self.events = EventRecorder(runtime.host("witness"), ">")
        self.runtime = runtime

    def record(self, id: str) -> AgentRecord:
        (found,) = self.agents.find(id=id)
        return found

    async def state(self, id: str, state: str, timeout: float = 20.0) -> AgentRecord:
        """Wait until agent *id* is in *state*."""
        await wait_until(
            lambda: any(r.state == state for r in self.agents.find(id=id)), timeout=timeout
        )
        return self.record(id)

    async def ask(self, name: str) -> Any:
        """What the agent *name* says to an event."""
        before = len(self.events.on(f"{name}.says"))
        await self.host.publish(f"{name}.hears")
        return (await self.events.wait_for(f"{name}.says", before + 1, timeout=20))[-1].data


@asynccontextmanager
async def start(
    app: Path, *plugins: str, tables: Any = None, **settings: Any
) -> AsyncIterator[App]:
    bridge = settings.pop("bridge", {})
    own = {"run": "process", **QUICK, **settings}
    config = {"plugins": {"agents": own}, "agents": tables or {}}
    if bridge:
        config["plugins"]["bridge"] = bridge
    async with running("agents", *(plugins or ("bridge",)), config=config, project=app) as runtime:
        yield App(runtime, app)


def write(app: Path, name: str, code: str = "", word: str = "hello") -> None:
    text = ECHO.format(name=name, word=word)
    (app / f"agents/{name}.py").write_text(f"{text}\n{code}")


def is_alive(pid: int) -> bool:
    """Whether *pid* runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
