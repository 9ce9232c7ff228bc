"""A remote agent as the directory knows it: a mailbox that outlives the agent's processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loom.bridge import messages
from loom.contracts import AgentRecord, Reject
from loom_kernel import Envelope, Host, LoomError, Subscription

from loom_plugin_bridge.feed import Feed, Outlet

if TYPE_CHECKING:
    from loom_plugin_bridge.session import Session

IDLE, INACTIVE = 1.5, 2.0
"""Heartbeats missed before an agent counts as idle, and as inactive."""
POISONED = 3
"""How many processes may end while they handle one event before it is put aside."""


class Resident:
    """One agent id: its mailbox, its session, and what the directory says of it."""

    def __init__(
        self, host: Host, id: str, replies: str, heartbeat: float, end: Callable[[str], Any]
    ) -> None:
        self.id = id
        self.durable = f"agent:{id}"
        self.host = host
        self.epoch = 0
        self.session: Session | None = None
        self.metadata: dict[str, str] = {}
        self.origin = ""
        self._heartbeat = heartbeat
        self._end = end
        self._mailbox: Subscription | None = None
        self._topics: tuple[str, ...] = (replies,)
        self._outside: tuple[str, ...] = ()
        self._again: list[Envelope] = []
        self._deaths = 0
        self._poison = ""
        self._created = host.clock.time()
        self._last_heartbeat = self._last_active = 0.0
        self._handled = self._failed = 0

    # -- sessions ----------------------------------------------------------------------------

    def begin(self, session: Session, origin: str, metadata: dict[str, str]) -> None:
        """Let *session* speak for the agent; the one before is over."""
        self.session = session
        self.origin, self.metadata = origin, metadata
        session.on_heard = self.beat
        self.beat()

    def leave(self, session: Session) -> None:
        """Keep what *session* leaves undone for the one that follows."""
        if self.session is not session:
            return
        self._handled += session.handled
        self._failed += session.failures
        self.session = None
        self._again = self._without_poison(session.release())
        if session.journal is not None:
            for event in self._again:
                session.journal.begin_anew(self.host.name, event)
        session.outlet.unsettled.clear()

    def _without_poison(self, left: list[Envelope]) -> list[Envelope]:
        """Put the first of *left* aside if it was first at the end of several processes."""
        first = left[0].id if left else ""
        self._deaths = self._deaths + 1 if first and first == self._poison else 1
        self._poison = first
        if first and self._deaths >= POISONED:
            self._put_aside(left[0])
            return left[1:]
        return left

    def _put_aside(self, event: Envelope) -> None:
        self.host.log.error("event %s is put aside: %s died of it", event.id, self.id)
        if self._mailbox is not None and self._mailbox.on_settled is not None:
            self._mailbox.settle(event, Reject(f"{POISONED} processes of {self.id} ended amid it"))
        else:
            self.host.publish_nowait(f"dlq.{event.topic}", event.data, event.type)

    def open_mailbox(self, message: messages.Subscribe, outlet: Outlet) -> Feed:
        """The feed of the mailbox: what was left undone first, then what waits, then what comes."""
        self._topics = tuple(dict.fromkeys((self._topics[0], *message.patterns)))
        wanted = tuple(dict.fromkeys((*self._topics, *self._outside)))
        if self._mailbox is None or self._mailbox.is_closed:
            options: dict[str, Any] = {"capacity": message.capacity} if message.capacity else {}
            self._mailbox = self.host.subscribe(
                *wanted,
                qos=message.qos,
                overflow=message.overflow,
                name=self.durable,
                durable=self.durable,
                **options,
            )
        for pattern in set(self._mailbox.patterns) - set(wanted):
            self._mailbox.remove(pattern)
        for pattern in wanted:
            self._mailbox.add(pattern)
        feed = Feed(0, self._mailbox, message.window, outlet)
        feed.again, self._again = self._again, []
        return feed

    def beat(self) -> None:
        """The agent was heard."""
        self._last_heartbeat = self.host.clock.time()

    # -- Member ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Its own process starts it.

        Raises:
            LoomError: always, unless it runs.
        """
        if self.session is None:
            raise LoomError(f"agent {self.id!r} runs in a process of its own; start that")

    async def stop(self) -> None:
        """End its session; its process is told."""
        if self.session is not None:
            self.session.close("ABORTED", f"agent {self.id!r} was stopped")
        await self._end(self.id)

    def subscribe(self, pattern: str) -> None:
        """Deliver *pattern* to it too, whichever process it has."""
        self._outside = tuple(dict.fromkeys((*self._outside, pattern)))
        if self._mailbox is not None:
            self._mailbox.add(pattern)

    def unsubscribe(self, pattern: str) -> None:
        """Deliver *pattern* no more.

        Raises:
            LoomError: it is the agent's own replies topic.
        """
        if pattern == self._topics[0]:
            raise LoomError(f"{pattern!r} belongs to agent {self.id!r} for good")
        self._outside = tuple(known for known in self._outside if known != pattern)
        if self._mailbox is not None:
            self._mailbox.remove(pattern)

    @property
    def status(self) -> str:
        """How alive it is, by its heartbeats."""
        if self.session is None or not self.session.is_connected:
            return "disconnected"
        missed = (self.host.clock.monotonic() - self.session.heard) / self._heartbeat
        return "active" if missed < IDLE else "idle" if missed < INACTIVE else "inactive"

    def record(self) -> AgentRecord:
        """What the directory says of it now."""
        session, stats = self.session, self._mailbox.stats() if self._mailbox else None
        waiting = (stats.queued if stats else 0) + len(self._again)
        unsettled = len(session.outlet.unsettled) if session else 0
        return AgentRecord(
            id=self.id,
            state="running" if session is not None else "stopped",
            topics=self._mailbox.patterns if self._mailbox else self._topics,
            capabilities=session.tools if session else (),
            concurrency="",
            mailbox=stats.capacity if stats else 0,
            waiting=waiting + unsettled,
            handled=self._handled + (session.handled if session else 0),
            failed=self._failed + (session.failures if session else 0),
            rejected=sum(stats.dropped.values()) if stats else 0,
            created=self._created,
            last_active=self._last_active,
            metadata=dict(self.metadata),
            kind="remote",
            status=self.status,  # type: ignore[arg-type]  # one of the four words
            last_heartbeat=self._last_heartbeat,
            epoch=self.epoch,
            origin=self.origin,
        )
