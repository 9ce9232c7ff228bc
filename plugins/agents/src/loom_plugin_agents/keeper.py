"""The agents of a runtime: created, started, stopped, deleted; found by id, topic, capability."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from loom.contracts import AgentDefinition, AgentRecord, read
from loom_kernel import Envelope, Host, LoomError, check_pattern, check_topic, matches

from loom_plugin_agents.actor import Actor

#: How long the end of the runtime waits for one agent, in seconds; it has been drained before.
PATIENCE = 0.5


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


class Keeper:
    """The service `loom.contracts.Agents`, in process and over the bus."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._actors: dict[str, Actor] = {}

    def listen(self) -> None:
        """Answer `agent.list` and `agent.control`."""
        self._host.on("agent.list", handler=self._list, name="agents:list")
        self._host.on("agent.control", handler=self._control, name="agents:control")

    async def create(self, definition: AgentDefinition, *, start: bool = True) -> AgentRecord:
        if "." in definition.id:
            raise LoomError(f"agent id {definition.id!r}: a dot separates tokens; use a dash")
        check_topic(f"agent.{definition.id}.replies")
        for pattern in definition.topics:
            check_pattern(pattern)
        if definition.id in self._actors:
            raise LoomError(
                f"an agent {definition.id!r} exists already; delete it first or use another id"
            )
        actor = self._actors[definition.id] = Actor(self._host, definition)
        await self._host.publish(
            f"agent.{definition.id}.created", {"id": definition.id, "topics": definition.topics}
        )
        if start:
            try:
                await actor.start()
            except BaseException:
                del self._actors[definition.id]
                raise
        return actor.record()

    async def start(self, id: str) -> AgentRecord:
        actor = self._find(id)
        await actor.start()
        return actor.record()

    async def stop(self, id: str) -> AgentRecord:
        actor = self._find(id)
        await actor.stop()
        return actor.record()

    async def delete(self, id: str) -> None:
        actor = self._find(id)
        try:
            await actor.stop()
        finally:
            self._actors.pop(id, None)
            await self._host.publish(f"agent.{id}.deleted", {"id": id})

    def subscribe(self, id: str, pattern: str) -> AgentRecord:
        actor = self._find(id)
        actor.subscribe(check_pattern(pattern))
        return actor.record()

    def unsubscribe(self, id: str, pattern: str) -> AgentRecord:
        actor = self._find(id)
        actor.unsubscribe(pattern)
        return actor.record()

    def find(self, *, id: str = "", topic: str = "", capability: str = "") -> list[AgentRecord]:
        records = [self._actors[known].record() for known in sorted(self._actors)]
        return [
            record
            for record in records
            if id in ("", record.id)
            and (not capability or capability in record.capabilities)
            and (not topic or _receives(record, topic))
        ]

    async def stop_all(self) -> None:
        """Stop every agent, the last created first; one that fails or hangs keeps no other."""
        for id in reversed(list(self._actors)):
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._actors[id].stop()
            except Exception:
                self._host.log.exception("agent %s failed while stopping", id)

    def _find(self, id: str) -> Actor:
        actor = self._actors.get(id)
        if actor is None:
            known = ", ".join(sorted(self._actors)) or "none"
            raise LoomError(f"there is no agent {id!r}; running: {known}")
        return actor

    # -- over the bus ------------------------------------------------------------------------

    async def _list(self, envelope: Envelope) -> None:
        query = read(envelope, Query) if envelope.data else Query()
        found = self.find(id=query.id, topic=query.topic, capability=query.capability)
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
                return await self.start(asked.id)
            case "stop":
                return await self.stop(asked.id)
            case "delete":
                await self.delete(asked.id)
                return {"id": asked.id, "state": "deleted"}
            case "subscribe":
                return self.subscribe(asked.id, asked.topic)
            case "unsubscribe":
                return self.unsubscribe(asked.id, asked.topic)
        raise LoomError(
            f"action is {asked.action!r}, must be start, stop, delete, subscribe or unsubscribe"
        )


def _receives(record: AgentRecord, topic: str) -> bool:
    return topic in record.topics or any(matches(pattern, topic) for pattern in record.topics)
