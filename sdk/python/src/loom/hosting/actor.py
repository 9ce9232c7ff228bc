"""One agent: a mailbox, a name of its own on the bus, and a rule for events that overlap."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from loom_kernel import Envelope, Host, LoomError, Subscription

from loom.contracts import AgentDefinition, AgentRecord, AgentState

#: Seconds that a stopped agent has to finish the event it handles.
PATIENCE = 5.0


class Actor:
    """Runs one agent on any host. Its handler never runs beside itself unless it asked for that.

    queue         events wait for their turn
    reject        an event that comes while one is handled is refused
    replace       it cancels the one that is handled
    parallel:<n>  up to n are handled at once, the others wait

    *patience* is how many seconds a stopped agent has to finish the event it handles.
    """

    def __init__(
        self, parent: Host, definition: AgentDefinition, *, patience: float = PATIENCE
    ) -> None:
        self.definition = definition
        self.state: AgentState = "created"
        self._parent = parent
        self._patience = patience
        self._created = parent.clock.time()
        self._last_active = 0.0
        self._host: Host | None = None
        self._mailbox: Subscription | None = None
        self._topics = (f"agent.{definition.id}.replies", *definition.topics)
        self._running: set[asyncio.Task[None]] = set()
        self._replaced: set[asyncio.Task[None]] = set()
        self._is_free = asyncio.Event()
        self._may_handle = asyncio.Event()
        self._may_handle.set()
        self._handling: set[asyncio.Task[None]] = set()
        self._halted: set[asyncio.Task[None]] = set()
        self._handled = self._failed = self._rejected = 0
        self._width = _width(definition)

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.definition.id

    async def start(self) -> None:
        """Begin to receive. Runs `on_start` first; if that raises, the agent stays stopped."""
        if self.state == "running":
            return
        host = self._host = self._parent.scope(self.definition.id)
        try:
            if self.definition.on_start is not None:
                await self.definition.on_start(host)
        except BaseException:
            await host.aclose()
            raise
        handle = self._handle if self.definition.concurrency == "queue" else self._spread
        self._mailbox = host.on(
            *dict.fromkeys(self._topics),
            handler=partial(handle, host),
            capacity=self.definition.mailbox,
            name=f"agent:{self.definition.id}",
            durable=f"agent:{self.definition.id}",
        )
        self._mailbox.settles_late = handle == self._spread
        self.state = "running"
        await self._tell("started")

    async def stop(self) -> None:
        """Finish the event being handled, receive no more, run `on_stop`."""
        if self.state != "running" or self._host is None or self._mailbox is None:
            return
        self.state = "stopped"
        mailbox, self._mailbox = self._mailbox, None
        mailbox.close()
        others = self._running - {asyncio.current_task()}  # it may be a handler that stops it
        try:
            async with asyncio.timeout(self._patience):
                await mailbox.wait_idle()
                if others:
                    await asyncio.wait(others)
        except TimeoutError:  # what still runs is cancelled with the host
            self._parent.log.warning("agent %s is stopped amid an event", self.definition.id)
        try:
            if self.definition.on_stop is not None:
                await self.definition.on_stop(self._host)
        finally:
            await self._host.aclose()
            await self._tell("stopped")

    def halt(self) -> None:
        """Cancel what is handled, and handle nothing more until `go_on`; events wait."""
        self._may_handle.clear()
        for task in self._handling - self._halted:
            self._halted.add(task)
            task.cancel()

    def go_on(self) -> None:
        """Undo `halt`; an event that it cut short is not handled again."""
        self._may_handle.set()

    def subscribe(self, pattern: str) -> None:
        """Receive *pattern* too, now and after a restart."""
        if self._mailbox is not None:
            self._mailbox.add(pattern)
        self._topics = (*dict.fromkeys((*self._topics, pattern)),)

    def unsubscribe(self, pattern: str) -> None:
        """Receive *pattern* no more.

        Raises:
            LoomError: it is the agent's own replies topic.
        """
        if pattern == self._topics[0]:
            raise LoomError(f"{pattern!r} belongs to agent {self.definition.id!r} for good")
        if self._mailbox is not None:
            self._mailbox.remove(pattern)
        self._topics = tuple(known for known in self._topics if known != pattern)

    def record(self) -> AgentRecord:
        """What the directory says of it now."""
        stats = self._mailbox.stats() if self._mailbox else None
        lost = sum(stats.dropped.values()) if stats else 0
        return AgentRecord(
            id=self.definition.id,
            state=self.state,
            topics=self._topics,
            capabilities=self.definition.capabilities,
            concurrency=self.definition.concurrency,
            mailbox=self.definition.mailbox,
            waiting=stats.queued if stats else 0,
            handled=self._handled,
            failed=self._failed,
            rejected=self._rejected + lost,
            created=self._created,
            last_active=self._last_active,
            metadata=self.definition.metadata,
            status="active" if self.state == "running" else "inactive",
        )

    # -- events ------------------------------------------------------------------------------

    async def _handle(self, host: Host, envelope: Envelope) -> None:
        await self._may_handle.wait()
        self._last_active = self._parent.clock.time()
        self._handled += 1
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._handling.add(task)
        try:
            await self.definition.on_event(host, envelope)
        except asyncio.CancelledError:
            if task not in self._halted:
                raise
            task.uncancel()
            self._failed += 1
            await self._tell_failure(envelope, LoomError("a halt was called amid this event"))
        except (Exception, SystemExit) as error:
            self._failed += 1
            await self._tell_failure(envelope, error)
            if isinstance(error, SystemExit):  # an agent's end is not the runtime's
                raise LoomError(f"agent {self.definition.id!r} called exit") from error
            raise
        finally:
            self._handling.discard(task)
            self._halted.discard(task)

    async def _spread(self, host: Host, envelope: Envelope) -> None:
        """Handle *envelope* beside others, as the policy allows."""
        mailbox, policy = self._mailbox, self.definition.concurrency
        if len(self._running) >= self._width:
            if policy == "reject":
                await self._refuse(envelope, mailbox)
                return
            if policy == "replace":
                for task in self._running:
                    task.cancel()
                self._rejected += len(self._running)
                self._replaced |= self._running
            while len(self._running) >= self._width:
                self._is_free.clear()
                await self._is_free.wait()
        task = host.spawn(self._handle(host, envelope), f"event/{envelope.id}")
        self._running.add(task)
        if mailbox is not None:
            mailbox.beside += 1
        task.add_done_callback(partial(self._done, mailbox, envelope))

    def _done(
        self, mailbox: Subscription | None, envelope: Envelope, task: asyncio.Task[None]
    ) -> None:
        """Make room. What the agent's end cut short is not done with: another process may do it."""
        is_settled = not task.cancelled() or task in self._replaced
        self._running.discard(task)
        self._replaced.discard(task)
        self._is_free.set()
        if mailbox is not None:
            mailbox.beside -= 1
            if is_settled:
                mailbox.settle(envelope, None if task.cancelled() else task.exception())

    async def _tell_failure(self, envelope: Envelope, error: BaseException) -> None:
        failure = {"event": envelope.id, "topic": envelope.topic, "error": repr(error)}
        try:
            await self._parent.publish(f"agent.{self.definition.id}.failed", failure)
        except LoomError as late:  # out of hops or of room: the log and `$loom.error` still tell
            self._parent.log.warning("%s.failed was not told: %s", self.definition.id, late)

    async def _refuse(self, envelope: Envelope, mailbox: Subscription | None) -> None:
        self._rejected += 1
        if mailbox is not None:
            mailbox.settle(envelope)
        await self._parent.publish(
            f"agent.{self.definition.id}.rejected",
            {"event": envelope.id, "topic": envelope.topic, "reason": "busy"},
        )

    async def _tell(self, what: str) -> None:
        await self._parent.publish(f"agent.{self.definition.id}.{what}", {"id": self.definition.id})


def _width(definition: AgentDefinition) -> int:
    """How many events may be handled at once."""
    kind, _, count = definition.concurrency.partition(":")
    if definition.concurrency in ("queue", "reject", "replace"):
        return 1
    if kind == "parallel" and count.isdecimal() and int(count) > 0:
        return int(count)
    raise LoomError(
        f"agent {definition.id!r}: concurrency is {definition.concurrency!r}, "
        "must be queue, reject, replace or parallel:<n>"
    )
