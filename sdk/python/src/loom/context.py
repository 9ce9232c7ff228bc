"""What an agent's handler works with: emit, request, reply, tools, threads, state."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Unpack, overload

import msgspec
from loom_kernel import (
    Clock,
    Envelope,
    EnvelopeFields,
    Host,
    ServiceMissing,
    Subscription,
    current,
)

from loom.contracts import (
    SEARCH,
    Mailboxes,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolResult,
    Tools,
)
from loom.provider import find_remote_tools

if TYPE_CHECKING:
    from loom.memory import Memory

MARKS = "$once"
"""Where in the state the marks of `Context.once` are."""
MOST_MARKS = 1000
MOST_READINGS = 10_000
"""Readings of the clock that are kept of one handling."""


class Thread(msgspec.Struct, frozen=True):
    """A conversation: what belongs together, and where its members meet."""

    id: str
    correlation_id: str = ""
    reply_to: str = ""

    @property
    def broadcast_topic(self) -> str:
        """Where a member speaks to all who joined."""
        return f"thread.{self.id}.broadcast"

    @property
    def reply_topic(self) -> str:
        """Where replies go that no one asked for privately."""
        return f"thread.{self.id}.reply"


class HandlingClock:
    """*clock*, and a list of what it said."""

    def __init__(self, clock: Clock) -> None:
        self.readings: list[float] = []
        """Times of the wall and of the monotonic clock, in the order of asking."""
        self._clock = clock
        self.time = self._time
        """UNIX seconds, UTC."""

    def _time(self) -> float:
        return self._noted(self._clock.time())

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never jumps."""
        return self._noted(self._clock.monotonic())

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        await self._clock.sleep(seconds)

    async def sleep_until(self, moment: float) -> None:
        """Wait until `time()` has reached *moment*."""
        await self._clock.sleep_until(moment)

    def _noted(self, reading: float) -> float:
        if len(self.readings) < MOST_READINGS:
            self.readings.append(reading)
        return reading


class Context:
    """An agent's side of the runtime. What it emits while handling an event is caused by it."""

    def __init__(self, host: Host, agent_id: str, config: Mapping[str, Any] | None = None) -> None:
        self.agent_id = agent_id
        self.config: Mapping[str, Any] = config or {}
        """The agent's table in `loom.toml`."""
        self.state: dict[str, Any] = {}
        """JSON values that the agent knows; with a journal they survive any crash.

        What the handling of an event changes is kept together with the end of that event: if it
        fails, or its process ends, the event comes again and finds the state as it was before.
        """
        self.ephemeral: dict[str, Any] = {}
        """Whatever the agent holds on to for as long as its process lives."""
        self.host = host
        """The agent's own host, for what this class has no word for."""
        self.log = host.log
        self.clock = HandlingClock(host.clock)
        """The runtime's clock. What it said while an event was handled is known to a replay."""
        self._chance = Random()

    @property
    def memory(self) -> Memory:
        """What the agent remembers in its session `main`; `memory.session(id)` is another one."""
        from loom.memory import Memory

        return Memory(self)

    @property
    def random(self) -> Random:
        """Chance that a replay repeats: in the handling of an event it begins with that event."""
        return self._chance

    def begin(self, event: Envelope) -> None:
        """The handling of *event* begins (called by the runtime)."""
        self.clock.readings.clear()
        self._chance = Random(f"{self.agent_id}/{event.id}")

    def once(self, key: str) -> bool:
        """Whether *key* is new to this agent: True once, then False for good.

        The mark is part of the state, so it counts only if the handling that set it ends well.
        The newest 1,000 are kept.
        """
        marks: dict[str, float] = self.state.setdefault(MARKS, {})
        if key in marks:
            return False
        marks[key] = self.clock.time()
        if len(marks) > MOST_MARKS:
            del marks[next(iter(marks))]
        return True

    async def emit(
        self,
        topic: str,
        data: Any = None,
        *,
        type: str = "",
        payload: Any = None,
        **fields: Unpack[EnvelopeFields],
    ) -> None:
        """Publish an event. *payload* is another name of *data*.

        Who received it is not known: through a bridge it is still on its way.
        """
        await self.host.publish(topic, data if payload is None else payload, type, **fields)

    @overload
    async def request(
        self,
        target: Thread | str,
        topic: Any = None,
        payload: Any = None,
        *,
        type: str = "",
        timeout_ms: float = 5000,
        first_k: None = None,
        **fields: Unpack[EnvelopeFields],
    ) -> Envelope: ...

    @overload
    async def request(
        self,
        target: Thread | str,
        topic: Any = None,
        payload: Any = None,
        *,
        type: str = "",
        timeout_ms: float = 5000,
        first_k: int,
        **fields: Unpack[EnvelopeFields],
    ) -> list[Envelope]: ...

    async def request(
        self,
        target: Thread | str,
        topic: Any = None,
        payload: Any = None,
        *,
        type: str = "",
        timeout_ms: float = 5000,
        first_k: int | None = None,
        **fields: Unpack[EnvelopeFields],
    ) -> Envelope | list[Envelope]:
        """Ask and wait for the first reply, also inside a handler.

        `request("topic", data)`, or `request(thread, "topic", payload=…)` to ask in a thread;
        then the event's type is the topic's last token and `.request`, if it is not given.
        With *first_k* the first that many replies are wanted, as a list in the order of
        arrival: a shorter one if fewer came in time, which one `collab.timeout` event tells.

        Raises:
            RequestTimeout: nobody answered within *timeout_ms*.
            NoResponders: nobody listens to the topic.
        """
        if isinstance(target, Thread):
            fields.setdefault("thread_id", target.id)
            asked, data = str(topic), payload
            type = type or f"{asked.rpartition('.')[2]}.request"
        else:
            asked, data = target, payload if topic is None else topic
        timeout = timeout_ms / 1000
        if first_k is None:
            return await self.host.request(asked, data, type, timeout=timeout, **fields)
        from loom.collaboration.gathering import first_replies

        return await first_replies(self, asked, data, type, first_k, timeout, fields)

    async def reply(
        self,
        to: Envelope | Thread,
        data: Any = None,
        *,
        type: str = "reply",
        payload: Any = None,
        **fields: Unpack[EnvelopeFields],
    ) -> None:
        """Answer an event (or its thread) where it wants the answer, if somebody still waits."""
        answer = data if payload is None else payload
        if isinstance(to, Envelope):
            await self.host.reply(to, answer, type, **fields)
            return
        fields.setdefault("thread_id", to.id)
        fields.setdefault("correlation_id", to.correlation_id or to.id)
        await self.host.publish(to.reply_to or to.reply_topic, answer, type, **fields)

    def inbox(self, count: int = 1) -> Subscription:
        """A subscription to *count* new private topics, its `patterns`, to have replies sent to.

        Use it as a context manager: `with ctx.inbox() as inbox:`, then publish with
        `reply_to=inbox.patterns[0]` and read `await inbox.receive()`.
        """
        topics = [self.host.world.bus.new_inbox() for _ in range(count)]
        return self.host.subscribe(*topics, name=f"inbox:{self.agent_id}")

    def thread(self, event: Envelope | str) -> Thread:
        """The thread of *event*, or the one of that id."""
        if isinstance(event, str):
            return Thread(event)
        return Thread(event.thread_id, event.correlation_id, event.reply_to)

    async def join_thread(self, thread: Thread | str) -> Thread:
        """Receive what is broadcast in *thread* from now on."""
        joined = thread if isinstance(thread, Thread) else Thread(thread)
        self.host.require(Mailboxes).subscribe(self.agent_id, joined.broadcast_topic)
        return joined

    async def leave_thread(self, thread: Thread | str) -> None:
        """Undo `join_thread`."""
        left = thread if isinstance(thread, Thread) else Thread(thread)
        self.host.require(Mailboxes).unsubscribe(self.agent_id, left.broadcast_topic)

    async def tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        version: str = "",
        timeout_ms: float = 0,
        call_id: str = "",
        reason: str = "",
    ) -> Any:
        """Call tool *name* and return its output.

        *call_id* makes a repeated call run once. *timeout_ms* 0 leaves the time to the tool, and
        to the person who may have to be asked, who is then shown the *reason*. Cancelling this
        cancels the call.

        Raises:
            ToolError: with one of the error codes.
        """
        call = ToolCall(name, arguments or {}, call_id, version, timeout_ms / 1000, reason=reason)
        result = await call_tool(self.host, call)
        if not result.is_ok:
            failure = result.error
            raise ToolError(
                name,
                result.code,
                failure.message if failure else result.code,
                failure.details if failure else None,
            )
        return result.output

    async def tools(self, query: str = "", limit: int = 8) -> list[ToolDescriptor]:
        """What a model has to be told of: every tool if they are few, else those that fit.

        Of more than *limit* tools these are the best for *query* and `SEARCH`, with which the
        model finds the others when it needs them. The cost in tokens does not grow with the
        number of tools that there are.

        Raises:
            NoResponders: no broker runs.
        """
        asked = {"query": query, "limit": limit}
        answer = (await self.host.request("tool.search", asked)).data
        found = msgspec.convert(answer["tools"], list[ToolDescriptor])
        return found if answer["all"] <= limit else [SEARCH, *found]


async def call_tool(host: Host, call: ToolCall) -> ToolResult:
    """Ask the broker to run *call*; always a result, also when there is no broker.

    Cancelling the task that waits here cancels the call. What is published afterwards carries the
    labels of all that led to the result.
    """
    if (remote := find_remote_tools(host)) is not None:
        return await remote.call(call)
    try:
        tools = host.require(Tools)
    except ServiceMissing:
        none = ToolFailure("no tool broker runs; enable the plugin `tools`")
        return ToolResult(call.id, "PROVIDER_UNAVAILABLE", error=none)
    result, labels = await tools.run(host.name, call)
    cause = current.get()
    if cause is not None and not labels <= cause.labels:
        current.set(msgspec.structs.replace(cause, labels=cause.labels | labels))
    return result
