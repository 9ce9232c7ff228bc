"""Offering tools: announce descriptors, answer calls, stop when told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom_kernel import Envelope, Host, ServiceMissing

from loom.contracts import (
    BROKER,
    RemoteTools,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolResult,
    read,
)

ToolHandler = Callable[[ToolCall], Awaitable[Any]]


class ToolProvider:
    """Announces tools under the name of *host* and runs them when the broker calls.

    At most *limit* calls run at once; more are refused with PROVIDER_UNAVAILABLE.
    """

    def __init__(self, host: Host, *, limit: int = 64) -> None:
        self._host = host
        self._limit = limit
        self._address = f"tool.provider.{host.name}.call"
        self._tools: dict[tuple[str, str], tuple[ToolDescriptor, ToolHandler]] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def add(self, descriptor: ToolDescriptor, handler: ToolHandler) -> None:
        """Offer *descriptor*; *handler* returns the output or raises (`ToolError` for a code)."""
        placed = msgspec.structs.replace(descriptor, address=self._address, owner=self._host.name)
        self._tools[placed.name, placed.version] = (placed, handler)

    async def start(self) -> None:
        """Answer from now on, and announce."""
        if (remote := find_remote_tools(self._host)) is not None:
            remote.offer([descriptor for descriptor, _ in self._tools.values()], self._outcome)
            return
        self._host.on(self._address, handler=self._call, name=f"{self._host.name}:calls")
        self._host.on(
            f"{self._address}.cancel", handler=self._cancel, name=f"{self._host.name}:cancels"
        )
        self._host.on(
            "tool.provider.wanted", handler=self._announce, name=f"{self._host.name}:announces"
        )
        await self._announce(None)

    async def withdraw(self) -> None:
        """Tell that the tools are gone; calls that run are cancelled with the host."""
        if (remote := find_remote_tools(self._host)) is not None:
            remote.offer([], self._outcome)
            return
        names = sorted({name for name, _ in self._tools})
        await self._host.publish("tool.provider.withdrawn", {"tools": names})

    async def finish(self, patience: float = 1.0) -> None:
        """Wait *patience* seconds for the calls that run."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=patience)

    async def _announce(self, envelope: Envelope | None) -> None:
        tools = [descriptor for descriptor, _ in self._tools.values()]
        await self._host.publish("tool.provider.announced", {"tools": tools})

    async def _call(self, envelope: Envelope) -> None:
        call = read(envelope, ToolCall)
        if envelope.sender != BROKER:
            refused = ToolFailure(f"call {call.name} through the broker, on `tool.call`")
            await self._host.reply(
                envelope, ToolResult(call.id, "PERMISSION_DENIED", error=refused)
            )
            return
        if len(self._running) >= self._limit:
            busy = ToolFailure(f"{self._limit} calls are running already; try again")
            await self._host.reply(
                envelope, ToolResult(call.id, "PROVIDER_UNAVAILABLE", error=busy)
            )
            return
        task = self._host.spawn(self._run(envelope, call), f"call/{call.name}")
        self._running[call.caller, call.id] = task
        task.add_done_callback(lambda _: self._running.pop((call.caller, call.id), None))

    async def _run(self, envelope: Envelope, call: ToolCall) -> None:
        await self._host.reply(envelope, await self._outcome(call))

    async def _outcome(self, call: ToolCall) -> ToolResult:
        found = self._tools.get((call.name, call.version))
        if found is None:
            missing = ToolFailure(f"{self._host.name!r} has no {call.name} {call.version}")
            return ToolResult(call.id, "CAPABILITY_ERROR", error=missing)
        try:
            return ToolResult(call.id, output=await found[1](call))
        except ToolError as error:
            return ToolResult(call.id, error.code, error=ToolFailure(error.message, error.details))
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise  # the broker's cancel or the end; any other is the tool's own, leaked
            self._host.log.exception("tool %s failed", call.name)
            return ToolResult(
                call.id, "ACTION_ERROR", error=ToolFailure(f"{type(error).__name__}: {error}")
            )

    async def _cancel(self, envelope: Envelope) -> None:
        task = self._running.get((envelope.data["caller"], envelope.data["id"]))
        if task is not None and envelope.sender == BROKER:
            task.cancel()


def find_remote_tools(host: Host) -> RemoteTools | None:
    """The broker's far end, if *host* is on a bridge; in process there is the bus."""
    try:
        return host.require(RemoteTools)
    except ServiceMissing:
        return None
