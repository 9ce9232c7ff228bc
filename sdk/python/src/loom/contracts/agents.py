"""Agents: what the runtime knows of each, and the service that keeps them.

agent.<id>.replies                    private to the agent, always subscribed
agent.<id>.created · .started · .stopped · .deleted · .failed
agent.<id>.connected · .disconnected            of one that joined through the bridge
agent.<id>.restarting · .quarantined · .finished   of one whose process the runtime keeps
agent.list     request with {"id"?, "topic"?, "capability"?}, reply is {"agents": [AgentRecord]}
agent.control  request with {"id", "action": "start" | "stop" | "restart" | "delete" |
               "subscribe" | "unsubscribe", "topic"?}, reply is the AgentRecord or {"error": text}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec
from loom_kernel import Envelope, Host

AgentState = Literal[
    "created", "running", "stopped", "starting", "restarting", "quarantined", "finished"
]
AgentKind = Literal["embedded", "process", "remote"]
AgentStatus = Literal["active", "idle", "inactive", "disconnected"]


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
    kind: AgentKind = "embedded"
    """Where it runs: in the runtime, in a child process of it, or in somebody else's."""
    status: AgentStatus = "active"
    """How alive its process is, by its heartbeats."""
    last_heartbeat: float = 0.0
    """UNIX seconds; 0 = it runs in the runtime, which needs none."""
    epoch: int = 0
    """Counts the processes that have had this id."""
    origin: str = ""
    """The token, or the child process, with which it came in."""
    pid: int = 0
    restarts: int = 0
    reason: str = ""
    """Why its process was started again, or is not."""


class Member(Protocol):
    """One agent of the directory, wherever it runs."""

    @property
    def id(self) -> str: ...

    async def start(self) -> None:
        """Let it receive; nothing happens if it does."""
        ...

    async def stop(self) -> None:
        """Let it receive nothing more; the event being handled is finished first."""
        ...

    def subscribe(self, pattern: str) -> None:
        """Deliver *pattern* to it too, from now on."""
        ...

    def unsubscribe(self, pattern: str) -> None:
        """Deliver *pattern* no more."""
        ...

    def record(self) -> AgentRecord:
        """What the directory says of it now."""
        ...


class Mailboxes(Protocol):
    """Changes what an agent receives while it runs; there is one in every process with agents."""

    def subscribe(self, id: str, pattern: str) -> object:
        """Deliver *pattern* to it too, from now on."""
        ...

    def unsubscribe(self, id: str, pattern: str) -> object:
        """Deliver *pattern* no more; its replies topic cannot be removed."""
        ...


class Agents(Mailboxes, Protocol):
    """Keeps agents: one per id, each an actor with a mailbox and a name of its own on the bus."""

    async def create(self, definition: AgentDefinition, *, start: bool = True) -> AgentRecord:
        """Create an agent; it is in the directory when this returns.

        Raises:
            LoomError: an agent of that id exists, or the id is not one token of a topic.
        """
        ...

    async def admit(self, member: Member) -> None:
        """Take an agent that runs elsewhere into the directory.

        Raises:
            LoomError: an agent of that id exists, or the id is not one token of a topic.
        """
        ...

    async def dismiss(self, id: str) -> None:
        """Forget an agent that was admitted; nothing happens if there is none."""
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

    async def restart(self, id: str) -> AgentRecord:
        """Stop it and start it again, whatever state it is in; a child process is a new one.

        Raises:
            LoomError: it runs in a process that the runtime did not start.
        """
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
