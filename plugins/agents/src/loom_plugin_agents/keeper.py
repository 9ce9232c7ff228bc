"""The agents of a runtime: created, started, stopped, deleted; found by id, topic, capability."""

from __future__ import annotations

import asyncio

from loom.contracts import BROKER, HALT, AgentDefinition, AgentRecord, Member
from loom.hosting import Actor
from loom_kernel import (
    BusClosed,
    Envelope,
    Health,
    Host,
    LoomError,
    check_pattern,
    check_topic,
    matches,
)

from loom_plugin_agents.child import Child
from loom_plugin_agents.supervisor import Supervisor

#: How long the end of the runtime waits for one agent, in seconds; it has been drained before.
PATIENCE = 0.5


class Keeper:
    """The service `loom.contracts.Agents`.

    A member is an actor of this process or one that a bridge admitted. Agents of a child process
    are both: their members come and go with its connection, the child itself stays.
    """

    def __init__(self, host: Host, supervisor: Supervisor) -> None:
        self._host = host
        self._members: dict[str, Member] = {}
        self._supervisor = supervisor
        supervisor.connected, supervisor.forget = self._connected, self._forget

    # -- coming and going --------------------------------------------------------------------

    async def create(self, definition: AgentDefinition, *, start: bool = True) -> AgentRecord:
        for pattern in definition.topics:
            check_pattern(pattern)
        self._check(definition.id)
        actor = self._members[definition.id] = Actor(self._host, definition)
        await self._host.publish(
            f"agent.{definition.id}.created", {"id": definition.id, "topics": definition.topics}
        )
        if start:
            try:
                await actor.start()
            except BaseException:
                del self._members[definition.id]
                raise
        return actor.record()

    async def admit(self, member: Member) -> None:
        self._check(member.id)
        self._members[member.id] = member
        await self._host.publish(f"agent.{member.id}.created", {"id": member.id})

    async def dismiss(self, id: str) -> None:
        if self._members.pop(id, None) is None:
            return
        try:
            await self._host.publish(f"agent.{id}.deleted", {"id": id})
        except BusClosed as late:  # its process ended with the runtime
            self._host.log.debug("%s", late)

    async def delete(self, id: str) -> None:
        child = self._child(id)
        try:
            if child is not None:
                await self._supervisor.remove(child.file)
            else:
                await self._find(id).stop()
        finally:
            await self.dismiss(id)

    def _check(self, id: str) -> None:
        if "." in id:
            raise LoomError(f"agent id {id!r}: a dot separates tokens; use a dash")
        check_topic(f"agent.{id}.replies")
        if id in self._members:
            raise LoomError(f"an agent {id!r} exists already; delete it first or use another id")

    # -- running -----------------------------------------------------------------------------

    async def start(self, id: str) -> AgentRecord:
        if child := self._child(id):
            await self._supervisor.start_child(child)
        else:
            await self._find(id).start()
        return self._record(id)

    async def stop(self, id: str) -> AgentRecord:
        if child := self._child(id):
            await self._supervisor.stop_child(child)
        else:
            record = self._find(id).record()
            await self._find(id).stop()
            if id not in self._members:  # a bridge forgets whom it stops
                return record
        return self._record(id)

    async def restart(self, id: str) -> AgentRecord:
        if child := self._child(id):
            await self._supervisor.restart_child(child)
            return self._record(id)
        member = self._find(id)
        if not isinstance(member, Actor):
            raise LoomError(f"agent {id!r} runs in a process of somebody else; restart it there")
        await member.stop()
        await member.start()
        return member.record()

    def subscribe(self, id: str, pattern: str) -> AgentRecord:
        self._find(id).subscribe(check_pattern(pattern))
        return self._record(id)

    def unsubscribe(self, id: str, pattern: str) -> AgentRecord:
        self._find(id).unsubscribe(pattern)
        return self._record(id)

    async def obey(self, envelope: Envelope) -> None:
        """Halt the agents of this process, or let them go on, if the broker says so."""
        if envelope.sender != BROKER:
            return
        for member in list(self._members.values()):
            if isinstance(member, Actor):
                member.halt() if envelope.topic == HALT else member.go_on()

    # -- looking up --------------------------------------------------------------------------

    def find(self, *, id: str = "", topic: str = "", capability: str = "") -> list[AgentRecord]:
        known = {*self._members, *(own for child in self._supervisor for own in child.ids)}
        return [
            record
            for record in map(self._record, sorted(known))
            if id in ("", record.id)
            and (not capability or capability in record.capabilities)
            and (not topic or _receives(record, topic))
        ]

    def health(self) -> Health:
        """How many agents there are, and whether a process was given up."""
        lost = [child.file.name for child in self._supervisor if child.state == "quarantined"]
        return Health(
            healthy=not lost,
            message=f"quarantined: {', '.join(lost)}" if lost else "ok",
            metrics={
                "agents": float(len(self.find())),
                "processes": float(sum(child.pid > 0 for child in self._supervisor)),
            },
        )

    def _record(self, id: str) -> AgentRecord:
        """What is known of *id*, from its member and from its process."""
        child, member = self._child(id), self._members.get(id)
        if member is not None:
            return child.describe(member.record()) if child else member.record()
        if child is not None:
            return child.record(id)
        return self._find(id).record()

    def _child(self, id: str) -> Child | None:
        """The process to which agent *id* belongs."""
        member = self._members.get(id)
        if isinstance(member, Actor):
            return None
        return self._supervisor.owner(id, member.record().origin if member else "")

    def _find(self, id: str) -> Member:
        member = self._members.get(id)
        if member is None and (child := self._child(id)):
            raise LoomError(f"agent {id!r} is not connected: its process is {child.state}")
        if member is None:
            known = ", ".join(record.id for record in self.find()) or "none"
            raise LoomError(f"there is no agent {id!r}; running: {known}")
        return member

    def _connected(self, origin: str) -> list[AgentRecord]:
        records = [member.record() for member in self._members.values()]
        return [record for record in records if record.origin == origin]

    # -- the end -----------------------------------------------------------------------------

    async def _forget(self, origin: str) -> None:
        """Let go of the mailboxes to which a process could have come back."""
        for record in self._connected(origin):
            await self._members[record.id].stop()

    async def stop_all(self) -> None:
        """Stop every agent, the last created first; one that fails or hangs keeps no other."""
        actors = [member for member in self._members.values() if isinstance(member, Actor)]
        for actor in reversed(actors):
            try:
                async with asyncio.timeout(PATIENCE):
                    await actor.stop()
            except Exception:
                self._host.log.exception("agent %s failed while stopping", actor.id)


def _receives(record: AgentRecord, topic: str) -> bool:
    return topic in record.topics or any(matches(pattern, topic) for pattern in record.topics)
