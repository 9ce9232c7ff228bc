"""The directory over the bus: `agent.list` and `agent.control`."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec
from loom.contracts import Agents, read
from loom_kernel import Envelope, Host, LoomError

Action = Literal["start", "stop", "restart", "delete", "subscribe", "unsubscribe"]


class Control(msgspec.Struct, frozen=True):
    """A request on `agent.control`."""

    id: str
    action: str
    topic: str = ""


class Query(msgspec.Struct, frozen=True):
    """A request on `agent.list`."""

    id: str = ""
    topic: str = ""
    capability: str = ""


class Requests:
    """Answers what is asked of *agents*."""

    def __init__(self, host: Host, agents: Agents) -> None:
        self._host = host
        self._agents = agents

    def listen(self) -> None:
        """Answer from now on."""
        self._host.on("agent.list", handler=self._list, name="agents:list")
        self._host.on("agent.control", handler=self._control, name="agents:control")

    async def _list(self, envelope: Envelope) -> None:
        query = read(envelope, Query) if envelope.data else Query()
        found = self._agents.find(id=query.id, topic=query.topic, capability=query.capability)
        await self._host.reply(envelope, {"agents": found})

    async def _control(self, envelope: Envelope) -> None:
        """In a task of its own: an agent that takes its time to stop keeps no other waiting."""
        self._host.spawn(self._answer(envelope), f"control/{envelope.id}")

    async def _answer(self, envelope: Envelope) -> None:
        try:
            answer: Any = await self._act(read(envelope, Control))
        except LoomError as error:
            answer = {"error": str(error)}
        await self._host.reply(envelope, answer)

    async def _act(self, asked: Control) -> Any:
        match asked.action:
            case "start":
                return await self._agents.start(asked.id)
            case "stop":
                return await self._agents.stop(asked.id)
            case "restart":
                return await self._agents.restart(asked.id)
            case "delete":
                await self._agents.delete(asked.id)
                return {"id": asked.id, "state": "deleted"}
            case "subscribe":
                return self._agents.subscribe(asked.id, asked.topic)
            case "unsubscribe":
                return self._agents.unsubscribe(asked.id, asked.topic)
        known = get_args(Action)
        raise LoomError(
            f"action is {asked.action!r}, must be {', '.join(known[:-1])} or {known[-1]}"
        )
