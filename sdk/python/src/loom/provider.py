"""Offering tools: announce descriptors, answer calls, stop when told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom_kernel import Envelope, Host, ServiceMissing

from loom.contracts import (
    BROKER,
    Capsule,
    ErrorCode,
    Preparation,
    RemoteTools,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolOrder,
    ToolProgress,
    ToolResult,
    read,
)

ToolHandler = Callable[[ToolCall], Awaitable[Any]]
Preparer = Callable[[ToolCall], Awaitable[Preparation]]


class ToolProvider:
    """Announces tools under the name of *host* and runs them when the broker calls.

    At most *limit* calls run at once; more are refused with PROVIDER_UNAVAILABLE.
    """

    def __init__(self, host: Host, *, limit: int = 64) -> None:
        self._host = host
        self._limit = limit
        self._address = f"tool.provider.{host.name}.call"
        self._tools: dict[tuple[str, str], _Offer] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._spent: dict[str, float] = {}

    def add(
        self, descriptor: ToolDescriptor, handler: ToolHandler, prepare: Preparer | None = None
    ) -> None:
        """Offer *descriptor*; *handler* returns the output or raises (`ToolError` for a code).

        *prepare* says what a call would touch: it is asked before a person is, and again before
        an approved call runs, so that what runs is what was approved.
        """
        placed = msgspec.structs.replace(
            descriptor, address=self._address, owner=self._host.name,
            is_prepared=prepare is not None,
        )  # fmt: skip
        self._tools[placed.name, placed.version] = _Offer(placed, handler, prepare)

    def remove(self, name: str, version: str = "1.0") -> None:
        """Offer this no longer; `start` or `announce` tells the others."""
        self._tools.pop((name, version), None)

    async def start(self) -> None:
        """Answer from now on, and announce."""
        if (remote := find_remote_tools(self._host)) is not None:
            remote.offer([offer.descriptor for offer in self._tools.values()], self._outcome)
            return
        self._host.on(self._address, handler=self._call, name=f"{self._host.name}:calls")
        self._host.on(
            f"{self._address}.cancel", handler=self._cancel, name=f"{self._host.name}:cancels"
        )
        self._host.on(
            f"{self._address}.prepare", handler=self._prepare, name=f"{self._host.name}:prepares"
        )
        self._host.on(
            "tool.provider.wanted", handler=self._announce, name=f"{self._host.name}:announces"
        )
        await self.announce()

    async def announce(self) -> None:
        """Tell again which tools there are, after `add` or `remove`: these, and no others."""
        tools = [offer.descriptor for offer in self._tools.values()]
        await self._host.publish("tool.provider.announced", {"tools": tools, "all": True})

    async def progress(
        self, call: ToolCall, done: float, total: float = 0.0, message: str = ""
    ) -> None:
        """Tell whoever listens how far *call* has come."""
        news = ToolProgress(call.id, call.name, done, total, message)
        await self._host.publish("tool.call.progressed", news, subject=call.id)

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

    async def _announce(self, envelope: Envelope) -> None:
        await self.announce()

    async def _prepare(self, envelope: Envelope) -> None:
        call = read(envelope, ToolCall)
        if envelope.sender == BROKER:
            self._host.spawn(self._answer_prepare(envelope, call), f"prepare/{call.name}")

    async def _answer_prepare(self, envelope: Envelope, call: ToolCall) -> None:
        try:
            offer = self._offer(call)
            found: Preparation | ToolResult = await offer.preparation(call)
        except ToolError as error:
            failure = ToolFailure(error.message, error.details)
            found = ToolResult(call.id, error.code, error=failure)
        await self._host.reply(envelope, found)

    def _offer(self, call: ToolCall) -> _Offer:
        found = self._tools.get((call.name, call.version))
        if found is None:
            missing = f"{self._host.name!r} has no {call.name} {call.version}"
            raise ToolError(call.name, "CAPABILITY_ERROR", missing)
        return found

    async def _call(self, envelope: Envelope) -> None:
        if envelope.sender != BROKER:
            await self._refuse(envelope, "PERMISSION_DENIED", "call tools on `tool.call`")
            return
        if len(self._running) >= self._limit:
            busy = f"{self._limit} calls are running already; try again"
            await self._refuse(envelope, "PROVIDER_UNAVAILABLE", busy)
            return
        order = read(envelope, ToolOrder)
        call = order.call
        task = self._host.spawn(self._run(envelope, order), f"call/{call.name}")
        self._running[call.caller, call.id] = task
        task.add_done_callback(lambda _: self._running.pop((call.caller, call.id), None))

    async def _refuse(self, envelope: Envelope, code: ErrorCode, why: str) -> None:
        await self._host.reply(envelope, ToolResult("", code, error=ToolFailure(why)))

    async def _run(self, envelope: Envelope, order: ToolOrder) -> None:
        call = order.call
        outcome = await self._outcome(call, order.capsule)
        found = self._tools.get((call.name, call.version))
        labels = found.descriptor.labels if found is not None else ()
        await self._host.reply(envelope, outcome, labels=labels)

    async def _check(self, call: ToolCall, offer: _Offer, capsule: Capsule) -> None:
        """Hold *call* against what was approved.

        Raises:
            ToolError: APPROVAL_DENIED, it is another call, or has run already.
        """
        now = self._host.clock.time()
        self._spent = {nonce: end for nonce, end in self._spent.items() if end > now}
        if capsule.nonce in self._spent:
            raise ToolError(call.name, "APPROVAL_DENIED", "this approval was used already")
        self._spent[capsule.nonce] = capsule.expires
        preparation = await offer.preparation(call)
        problem = capsule.problem(call.name, call.version, call.arguments, preparation, now)
        if problem:
            raise ToolError(call.name, "APPROVAL_DENIED", f"not what was approved: {problem}")

    async def _outcome(self, call: ToolCall, capsule: Capsule | None = None) -> ToolResult:
        try:
            offer = self._offer(call)
            if capsule is not None:
                await self._check(call, offer, capsule)
            return ToolResult(call.id, output=await offer.handler(call))
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


class _Offer(msgspec.Struct, frozen=True):
    """One tool, and what runs it."""

    descriptor: ToolDescriptor
    handler: ToolHandler
    prepare: Preparer | None

    async def preparation(self, call: ToolCall) -> Preparation:
        """What *call* would touch; nothing, if its provider cannot say."""
        return await self.prepare(call) if self.prepare is not None else Preparation()


def find_remote_tools(host: Host) -> RemoteTools | None:
    """The broker's far end, if *host* is on a bridge; in process there is the bus."""
    try:
        return host.require(RemoteTools)
    except ServiceMissing:
        return None
