"""`Agent`: an actor with an id, topics, a handler and capabilities."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from loom_kernel import Envelope, Host, LoomError

from loom.capabilities import Capability
from loom.context import Context
from loom.contracts import AgentDefinition, Agents, ToolCall
from loom.hosting.keeping import Keeping
from loom.provider import ToolProvider

OnEvent = Callable[[Context, str, Envelope], Awaitable[object]]


class Agent:
    """An agent. Give it *on_event*, or subclass it and override the method.

    In an app folder (`agents/*.py`) an instance at module level is all that is needed: the
    runtime starts it. In a script, `await agent.start()` runs it on the Loom at *address* (see
    `loom.bridge.address`), with *token*; without an address, also in the environment as
    `LOOM_ADDRESS`, in a runtime of the process, which all agents of one event loop share.

    *concurrency* is `queue` (one event at a time), `reject`, `replace` or `parallel:<n>`.
    """

    def __init__(
        self,
        agent_id: str,
        topics: Iterable[str] = (),
        *,
        on_event: OnEvent | None = None,
        address: str = "",
        token: str = "",
        capabilities: Iterable[Capability] = (),
        concurrency: str = "queue",
        mailbox: int = 1000,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(topics, str):
            raise TypeError(f"topics of agent {agent_id!r} is one text; write [{topics!r}]")
        self.agent_id = agent_id
        self.topics = tuple(topics)
        self.address = address or os.environ.get("LOOM_ADDRESS", "")
        self.capabilities = tuple(capabilities)
        self._token = token
        self._on_event = on_event
        self._concurrency = concurrency
        self._mailbox = mailbox
        self._metadata = dict(metadata or {})
        self._context: Context | None = None
        self._keeping: Keeping | None = None
        self._stack: AsyncExitStack | None = None
        self._provider: ToolProvider | None = None

    @property
    def ctx(self) -> Context:
        """The agent's context.

        Raises:
            LoomError: it has not been started.
        """
        if self._context is None:
            raise LoomError(f"agent {self.agent_id!r} has not been started: await agent.start()")
        return self._context

    @property
    def _ctx(self) -> Context:
        return self.ctx

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        """Handle one event; by default what `on_event=` was given."""
        if self._on_event is not None:
            await self._on_event(ctx, topic, event)

    async def on_start(self, ctx: Context) -> None:
        """Called once before the first event."""

    async def on_stop(self, ctx: Context) -> None:
        """Called once after the last event."""

    async def start(self) -> None:
        """Run; returns when the agent receives events. Nothing happens if it runs.

        Raises:
            LoomError: an agent of this id is running.
            Refused, Disconnected: see `loom.bridge.connect`.
        """
        if self._stack is not None:
            return
        async with AsyncExitStack() as stack:
            if self.address:
                from loom.hosting.remote import joined

                await stack.enter_async_context(
                    joined(self.definition(), self.address, self._token)
                )
            else:
                await self._start_here(stack)
            self._stack = stack.pop_all()

    async def _start_here(self, stack: AsyncExitStack) -> None:
        from loom import embedded

        host = await embedded.enter()
        stack.push_async_callback(embedded.leave)
        agents = host.require(Agents)
        await agents.create(self.definition())
        stack.push_async_callback(agents.delete, self.agent_id)

    async def stop(self) -> None:
        """Finish the event being handled and leave; nothing happens if it does not run."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    def run(self) -> None:
        """Run in an event loop of its own until Ctrl-C or SIGTERM.

        Exits with code 1 and one line if it is not let in, or the server ends its session.
        """
        try:
            asyncio.run(self._run())
        except LoomError as error:
            sys.exit(f"{self.agent_id}: {error}")

    async def _run(self) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        await self.start()
        ended = self.ctx.host.world.stop_requested or stopped
        try:
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(event.wait()) for event in (stopped, ended)]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in waiting:
                    task.cancel()
            if not stopped.is_set():
                raise LoomError(f"the session is over: {self.ctx.host.status().get('reason', '')}")
        finally:
            await self.stop()

    def definition(self, config: Mapping[str, Any] | None = None) -> AgentDefinition:
        """What a runtime needs to run it; *config* is its table in `loom.toml`."""
        own = dict(config or {})
        concurrency = own.get("concurrency", self._concurrency)

        async def begin(host: Host) -> None:
            known = self._context.state if self._context else {}
            self._keeping = Keeping(host, self.agent_id)
            self._context = Context(host, self.agent_id, own)
            self._context.state = await self._keeping.load(known)
            await self._offer(host, self._context)
            await self.on_start(self._context)

        async def handle(host: Host, envelope: Envelope) -> None:
            context, keeping = self.ctx, self._keeping
            if keeping is None:
                await self.on_event(context, envelope.topic, envelope)
                return
            try:
                context.state = await keeping.renew(context.state)
                context.begin(envelope)
                await self.on_event(context, envelope.topic, envelope)
                await keeping.keep(context.state, envelope, context.clock.readings)
            except BaseException:
                if concurrency == "queue":
                    context.state = keeping.undo(context.state)
                raise

        async def end(host: Host) -> None:
            try:
                await self.on_stop(self.ctx)
            finally:
                if self._provider is not None:
                    await self._provider.withdraw()

        return AgentDefinition(
            id=self.agent_id,
            on_event=handle,
            topics=(*self.topics, *own.get("topics", ())),
            capabilities=tuple(capability.name for capability in self.capabilities),
            mailbox=own.get("mailbox", self._mailbox),
            concurrency=concurrency,
            on_start=begin,
            on_stop=end,
            metadata={"doc": inspect.getdoc(self._on_event or type(self)) or "", **self._metadata},
        )

    async def _offer(self, host: Host, context: Context) -> None:
        """Announce the capabilities as tools of this agent."""
        if not self.capabilities:
            return
        provider = self._provider = ToolProvider(host)
        for offered in self.capabilities:
            provider.add(offered.descriptor(), _invoker(offered, context))
        await provider.start()


def _invoker(capability: Capability, context: Context) -> Callable[[ToolCall], Awaitable[Any]]:
    async def invoke(call: ToolCall) -> Any:
        return await capability.invoke(call.arguments, context)

    return invoke
