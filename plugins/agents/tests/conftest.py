from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import AgentDefinition, AgentRecord, Agents
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until


class Keep:
    """The directory of a runtime, a host outside of all agents, and what is told of them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.host: Host = runtime.host("outside")
        self.agents: Agents = self.host.require(Agents)
        self.events = EventRecorder(runtime.host("witness"), "agent.>", "$loom.>")

    async def create(
        self, id: str, on_event: Callable[..., Any], *topics: str, **more: Any
    ) -> AgentRecord:
        return await self.agents.create(AgentDefinition(id, on_event, topics, **more))

    def record(self, id: str) -> AgentRecord:
        (found,) = self.agents.find(id=id)
        return found

    async def control(self, id: str, action: str, topic: str = "") -> Any:
        asked = {"id": id, "action": action, "topic": topic}
        return (await self.host.request("agent.control", asked)).data

    async def listed(self, **query: str) -> list[str]:
        reply = await self.host.request("agent.list", query)
        return [record.id for record in reply.data["agents"]]

    async def settled(self, id: str, handled: int) -> None:
        """Wait until the agent has begun with so many events."""
        await wait_until(lambda: self.record(id).handled == handled)

    def told(self, id: str) -> list[str]:
        return [event.topic.split(".")[-1] for event in self.events.on(f"agent.{id}.*")]


@pytest.fixture
async def keep() -> AsyncIterator[Keep]:
    async with running("agents") as runtime:
        yield Keep(runtime)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    return tmp_path
