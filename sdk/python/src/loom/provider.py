"""Offering tools: announce descriptors, answer calls, stop when told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from loom_kernel import Envelope, Host, ServiceMissing, Subscription, current

from loom.contracts import (
    Capsule,
    Preparation,
    RemoteTools,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolOrder,
    ToolProgress,
    ToolResult,
    Tools,
    steady,
)

NO_LABELS: frozenset[str] = frozenset()

ToolHandler = Callable[[ToolCall], Awaitable[Any]]
Preparer = Callable[[ToolCall], Awaitable[Preparation]]


class ToolProvider:
    """Announces tools under the name of *host* and runs them when the broker calls.

    At most *limit* calls run at once; more are refused with PROVIDER_UNAVAILABLE.
    """

    def __init__(self, host: Host, *, limit: int = 64) -> None:
        self.awaited: frozenset[str] = frozenset()
        """Namespaces whose tools are to come soon: calls of them wait a little.

        `announce` when that changes.
        """
        self.aliases: dict[str, str] = {}
        """Other names of its tools, each with the tool's own; `announce` when that changes.

        A provider on a bridge has none.
        """
        self._host = host
        self._limit = limit
        self._tools: dict[tuple[str, str], _Offer] = {}
        self._running: set[asyncio.Task[tuple[ToolResult, frozenset[str]]]] = set()
        self._spent: dict[str, float] = {}

    def add(
        self, descriptor: ToolDescriptor, handler: ToolHandler, prepare: Preparer | None = None
    ) -> None:
        """Offer *descriptor*; *handler* returns the output or raises (`ToolError` for a code).

        *prepare* says what a call would touch: it is asked before a person is, and again before
        an approved call runs, so that what runs is what was approved.
        """
        placed = msgspec.structs.replace(
            descriptor, owner=self._host.name, is_prepared=prepare is not None
        )
        self._tools[placed.name, placed.version] = _Offer(placed, handler, prepare)

    def remove(self, name: str, version: str = "1.0") -> None:
        """Offer this no longer; `start` or `announce` tells the others."""
        self._tools.pop((name, version), None)

    async def start(self) -> None:
        """Answer from now on, and announce."""
        if (remote := find_remote_tools(self._host)) is not None:
            remote.offer([offer.descriptor for offer in self._tools.values()], self._outcome_alone)
            return
        wanted = self._host.subscribe("tool.provider.wanted", name=f"{self._host.name}:announces")
        self._host.spawn(self._stay(wanted), "tools")
        await self.announce()

    async def announce(self) -> None:
        """Tell again which tools there are, after `add` or `remove`: these, and no others."""
        self._offer_all([offer.descriptor for offer in self._tools.values()])

    async def progress(
        self,
        call: ToolCall,
        done: float,
        total: float = 0.0,
        message: str = "",
        kind: str = "",
        mark: str = "",
    ) -> None:
        """Tell whoever listens how far *call* has come."""
        news = ToolProgress(call.id, call.name, done, total, message, kind, call.caller, mark)
        await self._host.publish("tool.call.progressed", news, subject=call.id)

    async def withdraw(self) -> None:
        """Tell that the tools are gone; calls that run are cancelled with the host."""
        if (remote := find_remote_tools(self._host)) is not None:
            remote.offer([], self._outcome_alone)
            return
        self._offer_all([])

    async def finish(self, patience: float = 1.0) -> None:
        """Wait *patience* seconds for the calls that run."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience)

    # -- what the broker asks ----------------------------------------------------------------

    async def prepare(self, call: ToolCall) -> Preparation:
        """See `loom.contracts.Provider`."""
        return await self._offer(call).preparation(call)

    async def run(self, order: ToolOrder, cause: Envelope) -> tuple[ToolResult, frozenset[str]]:
        """See `loom.contracts.Provider`."""
        call = order.call
        if len(self._running) >= self._limit:
            busy = ToolFailure(f"{self._limit} calls are running already; try again")
            return ToolResult(call.id, "PROVIDER_UNAVAILABLE", error=busy), NO_LABELS
        task = self._host.spawn(self._serve(order, cause), f"call/{call.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # with its host: nobody knows how far it had come
                gone = ToolFailure(f"{self._host.name!r} ended before it answered")
                return ToolResult(call.id, "OUTCOME_UNKNOWN", error=gone), NO_LABELS
            task.cancel()
            raise

    async def _serve(self, order: ToolOrder, cause: Envelope) -> tuple[ToolResult, frozenset[str]]:
        current.set(cause)
        result = await self._outcome(order.call, order.capsule)
        return result, (current.get() or cause).labels

    async def _outcome_alone(self, call: ToolCall) -> ToolResult:
        return await self._outcome(call, None)

    async def _outcome(self, call: ToolCall, capsule: Capsule | None) -> ToolResult:
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

    async def _check(self, call: ToolCall, offer: _Offer, capsule: Capsule) -> None:
        """Hold *call* against what was approved.

        Raises:
            ToolError: APPROVAL_DENIED, it is another call, or has run already.
        """
        now = steady(self._host.clock)
        self._spent = {nonce: end for nonce, end in self._spent.items() if end > now}
        if capsule.nonce in self._spent:
            raise ToolError(call.name, "APPROVAL_DENIED", "this approval was used already")
        self._spent[capsule.nonce] = capsule.expires
        preparation = await offer.preparation(call)
        problem = capsule.problem(call.name, call.version, call.arguments, preparation, now)
        if problem:
            raise ToolError(call.name, "APPROVAL_DENIED", f"not what was approved: {problem}")

    # -- being there -------------------------------------------------------------------------

    async def _stay(self, wanted: Subscription) -> None:
        """Announce whenever the broker asks, and withdraw when this host ends."""
        try:
            async for _ in wanted:
                await self.announce()
        finally:
            with suppress(ServiceMissing):  # the broker went before
                self._host.require(Tools).leave(self._host.name, self)

    def _offer(self, call: ToolCall) -> _Offer:
        found = self._tools.get((call.name, call.version))
        if found is None:
            missing = f"{self._host.name!r} has no {call.name} {call.version}"
            raise ToolError(call.name, "CAPABILITY_ERROR", missing)
        return found

    def _offer_all(self, tools: list[ToolDescriptor]) -> None:
        """Let the broker know of *tools*, and of no others."""
        try:
            broker = self._host.require(Tools)
        except ServiceMissing:
            return  # it will ask providers to announce themselves
        broker.offer(self._host.name, tools, self)


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
