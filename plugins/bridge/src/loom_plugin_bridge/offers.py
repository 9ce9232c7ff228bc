"""The tools of a remote agent: announced in its name, called down its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from loom import ToolError, ToolProvider
from loom.bridge import messages, problem_of
from loom.contracts import ToolCall, ToolDescriptor, ToolFailure, ToolResult
from loom_kernel import BusClosed, Host, current

from loom_plugin_bridge.access import Scope
from loom_plugin_bridge.causes import Causes

MOST = 256
"""Tools that one session may offer: the broker looks at the schema of each."""
LONGEST = 512 << 10
"""Bytes of all their descriptors, as JSON: they are announced as one event."""


class Offers:
    """What one session offers. *send* passes a message down to the client."""

    def __init__(
        self,
        host: Host,
        scope: Scope,
        send: Callable[[messages.ServerMessage], None],
        causes: Causes,
    ) -> None:
        self.names: tuple[str, ...] = ()
        self._host = host
        self._scope = scope
        self._send = send
        self._causes = causes
        self._provider: ToolProvider | None = None
        self._own: Host | None = None
        self._changing = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[ToolResult]] = {}
        self._refs = 0

    async def replace(self, tools: Iterable[ToolDescriptor]) -> None:
        """Offer *tools* instead of those before."""
        async with self._changing:
            await self._withdraw()
            offered = tuple(tools)
            if not offered:
                return
            self._own = self._host.scope(self._host.name)
            self._provider = ToolProvider(self._own)
            for tool in offered:
                named = msgspec.structs.replace(
                    tool, name=self._scope.name(tool.name), provider="agent"
                )
                self._provider.add(named, self._ask)
            self.names = tuple(tool.name for tool in offered)
            await self._provider.start()

    def answer(self, ref: int, result: ToolResult) -> None:
        """The client's outcome of call *ref*."""
        promise = self._waiting.get(ref)
        if promise is not None and not promise.done():
            details = result.error.details if result.error is not None else {}
            if problem := problem_of([result.output, details]):
                wrong = ToolFailure(f"the agent's outcome cannot be passed on: {problem}")
                result = ToolResult(result.id, "ACTION_ERROR", error=wrong)
            promise.set_result(result)

    async def aclose(self) -> None:
        """Offer nothing any more; calls that are out end as unknown."""
        for promise in self._waiting.values():
            if not promise.done():
                gone = ToolFailure("the agent went away before it answered")
                promise.set_result(ToolResult("", "OUTCOME_UNKNOWN", error=gone))
        if self._provider is not None:
            await self._provider.finish()
        await self._withdraw()

    async def _withdraw(self) -> None:
        own, provider = self._own, self._provider
        self._own = self._provider = None
        self.names = ()
        if own is not None and provider is not None:
            with suppress(BusClosed):  # the runtime stops, and nobody calls any more
                await provider.withdraw()
            await own.aclose()

    async def _ask(self, call: ToolCall) -> Any:
        """Have the client run *call*; what led to its outcome leads to ours."""
        if (cause := current.get()) is None:
            return await self._outcome(call, 0)
        number = self._causes.begin(cause)
        try:
            return await self._outcome(call, number)
        finally:
            current.set(self._causes.end(number))

    async def _outcome(self, call: ToolCall, cause: int) -> Any:
        self._refs += 1
        ref = self._refs
        promise: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = promise
        named = msgspec.structs.replace(call, name=self._scope.own_name(call.name))
        self._send(messages.Call(ref, named, cause))
        try:
            result = await promise
        except asyncio.CancelledError:
            self._send(messages.Cancel(ref))
            raise
        finally:
            del self._waiting[ref]
        if result.is_ok:
            return result.output
        failure = result.error or ToolFailure(result.code)
        raise ToolError(call.name, result.code, failure.message, failure.details)


def problem_of_offer(tools: Sequence[ToolDescriptor]) -> str:
    """What keeps *tools* from being announced; empty if nothing does."""
    if len(tools) > MOST:
        return f"{len(tools)} tools; an agent offers at most {MOST}"
    for tool in tools:
        if "/" in tool.name or not tool.name:
            return f"{tool.name[:100]!r} is no name of a tool: a slash separates namespaces"
        if tool.timeout - tool.timeout != 0:
            return f"{tool.timeout} is no time for {tool.name[:100]!r}"
    problem = problem_of(tools, LONGEST)
    return f"these tools cannot be announced: {problem}" if problem else ""
