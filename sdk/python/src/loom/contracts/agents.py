"""Agents: what the runtime knows of each, and the service that keeps them.

agent.<id>.replies                    private to the agent, always subscribed
agent.<id>.created · .started · .stopped · .deleted · .failed
agent.list     request with {"id"?, "topic"?, "capability"?}, reply is {"agents": [AgentRecord]}
agent.control  request with {"id", "action": "start" | "stop" | "delete" | "subscribe" |
               "unsubscribe", "topic"?}, reply is the AgentRecord or {"error": text}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec
from loom_kernel import Envelope, Host

AgentState = Literal["created", "running", "stopped"]


class AgentDefinition(msgspec.Struct):
    """What it takes to run an agent."""

    id: str
    on_event: Callable[[Host, Envelope], Awaitable[object]]
    topics: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    mailbox: int = 1000
    """How many events may wait."""
    concurrency: str = "queue"
    """`queue` (one at a time), `reject`, `replace` or `parallel:<n>`."""
    on_start: Callable[[Host], Awaitable[object]] | None = None
    on_stop: Callable[[Host], Awaitable[object]] | None = None
    metadata: dict[str, Any] = {}


class AgentRecord(msgspec.Struct, frozen=True):
    """What the directory says of an agent."""

    id: str
    state: AgentState
    topics: tuple[str, ...]
    capabilities: tuple[str, ...]
    concurrency: str
    mailbox: int
    waiting: int
    """Events in the mailbox."""
    handled: int
    failed: int
    rejected: int
    """Events refused or replaced by the concurrency policy, or lost by the mailbox."""
    created: float
    """UNIX seconds."""
    last_active: float
    metadata: dict[str, Any] = {}


class Agents(Protocol):
    """Keeps agents: one per id, each an actor with a mailbox and a name of its own on the bus."""

    async def create(self, definition: AgentDefinition, *, start: bool = True) -> AgentRecord:
        """Create an agent; it is in the directory when this returns.

        Raises:
            LoomError: an agent of that id exists, or the id is not one token of a topic.
        """
        ...

    async def start(self, id: str) -> AgentRecord:
        """Let it receive; nothing happens if it does."""
        ...

    async def stop(self, id: str) -> AgentRecord:
        """Let it receive nothing more; the event being handled is finished first."""
        ...

    async def delete(self, id: str) -> None:
        """Stop it and forget it."""
        ...

    def subscribe(self, id: str, pattern: str) -> AgentRecord:
        """Deliver *pattern* to it too, from now on."""
        ...

    def unsubscribe(self, id: str, pattern: str) -> AgentRecord:
        """Deliver *pattern* no more; its replies topic cannot be removed."""
        ...

    def find(self, *, id: str = "", topic: str = "", capability: str = "") -> list[AgentRecord]:
        """The agents for which all that is given is true, sorted by id.

        *topic* finds those who would receive it; a pattern those who subscribe to exactly it.
        """
        ...
