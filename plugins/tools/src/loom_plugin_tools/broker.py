"""The path of a tool call. There is no other.

resolve → validate → hand to the provider with a deadline → result → tell

What has to be decided before a tool may act (capabilities, approval, a durable intent) is a
`Gate` between validation and execution.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom.contracts import (
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolOrder,
    ToolResult,
    read,
)
from loom_kernel import Envelope, Host, InvalidEnvelope, LoomError, NoResponders, RequestTimeout

from loom_plugin_tools.registry import Registry
from loom_plugin_tools.validation import Validators

#: Called before execution with what will run; refuses by raising `ToolError`.
Gate = Callable[[ToolDescriptor, ToolCall, Envelope], Awaitable[None]]


class Broker:
    """Keeps the registry and runs calls. Calls of one id by one caller run once."""

    def __init__(self, host: Host, *, timeout: float, remembered: int) -> None:
        self.registry = Registry()
        self._host = host
        self._timeout = timeout
        self._remembered = remembered
        self._validators = Validators()
        self._gates: list[Gate] = []
        self._results: OrderedDict[tuple[str, str], asyncio.Future[ToolResult]] = OrderedDict()
        self.counts = {"calls": 0, "failed": 0, "repeated": 0}

    def add_gate(self, gate: Gate) -> None:
        """Ask *gate* before each execution, after those added before it."""
        self._gates.append(gate)

    async def start(self) -> None:
        """Listen, and ask providers to announce themselves."""
        self._host.on("tool.provider.announced", handler=self._announced, name="tools:announced")
        self._host.on("tool.provider.withdrawn", handler=self._withdrawn, name="tools:withdrawn")
        self._host.on("tool.list", handler=self._list, name="tools:list")
        self._host.on("tool.call", handler=self._accept, qos="background", name="tools:call")
        await self._host.publish("tool.provider.wanted")

    # -- the registry ------------------------------------------------------------------------

    async def _announced(self, envelope: Envelope) -> None:
        for raw in envelope.data["tools"]:
            found = raw if isinstance(raw, ToolDescriptor) else msgspec.convert(raw, ToolDescriptor)
            found = msgspec.structs.replace(found, owner=envelope.sender)
            try:
                self._validators.check_schema(found)
                self.registry.add(found)
            except ToolError as error:
                self._host.log.error("tool refused: %s", error)
                await self._host.publish(
                    "tool.provider.refused", {"tool": found.name, "reason": str(error)}
                )

    async def _withdrawn(self, envelope: Envelope) -> None:
        self.registry.remove(envelope.sender, envelope.data["tools"])

    async def _list(self, envelope: Envelope) -> None:
        asked = envelope.data if isinstance(envelope.data, dict) else {}
        tools = self.registry.list(asked.get("name", ""), asked.get("provider", ""))
        await self._host.reply(envelope, {"tools": tools})

    # -- calls -------------------------------------------------------------------------------

    async def _accept(self, envelope: Envelope) -> None:
        """Each call runs in a task of its own, so that a slow one holds up nobody."""
        try:
            call = read(envelope, ToolCall)
        except InvalidEnvelope as error:
            wrong = ToolResult("", "INVALID_PARAMS", error=ToolFailure(str(error)))
            await self._host.reply(envelope, wrong)
            return
        call = msgspec.structs.replace(call, id=call.id or envelope.id, caller=envelope.sender)
        self._host.spawn(self._answer(envelope, call), f"call/{call.name}/{call.id}")

    async def _answer(self, envelope: Envelope, call: ToolCall) -> None:
        await self._host.reply(envelope, await self._once(envelope, call))

    async def _once(self, envelope: Envelope, call: ToolCall) -> ToolResult:
        """Run *call*, or wait for the run or take the result of the same id."""
        key = (call.caller, call.id)
        known = self._results.get(key)
        if known is not None:
            self.counts["repeated"] += 1
            return await asyncio.shield(known)
        future: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        self._results[key] = future
        if len(self._results) > self._remembered:
            oldest = next((k for k, known in self._results.items() if known.done()), None)
            if oldest is not None:
                del self._results[oldest]
        try:
            result = await self._run(envelope, call)
        except BaseException:
            del self._results[key]
            future.cancel()
            raise
        future.set_result(result)
        return result

    async def _run(self, envelope: Envelope, call: ToolCall) -> ToolResult:
        started = self._host.clock.monotonic()
        self.counts["calls"] += 1
        try:
            result = await self._execute(envelope, call)
        except ToolError as error:
            result = ToolResult(
                call.id, error.code, error=ToolFailure(error.message, error.details)
            )
        except LoomError as error:  # the bus took no more: hops, room, the end
            result = ToolResult(call.id, "ACTION_ERROR", error=ToolFailure(str(error)))
        except Exception as error:  # a schema or a gate breaks: the caller gets an answer
            self._host.log.exception("call of %s failed", call.name)
            failure = ToolFailure(f"{type(error).__name__}: {error}"[:500])
            result = ToolResult(call.id, "ACTION_ERROR", error=failure)
        result = msgspec.structs.replace(
            result, id=call.id, duration=self._host.clock.monotonic() - started
        )
        await self._tell(call, result)
        return result

    async def _execute(self, envelope: Envelope, call: ToolCall) -> ToolResult:
        if call.timeout < 0:
            raise ToolError(call.name, "INVALID_PARAMS", "the timeout is less than 0")
        descriptor = self.registry.resolve(call.name, call.version)
        self._validators.check(descriptor, call.arguments)
        seconds = call.timeout or descriptor.timeout or self._timeout
        call = msgspec.structs.replace(call, version=descriptor.version, timeout=seconds)
        for gate in self._gates:
            await gate(descriptor, call, envelope)
        await self._host.publish(
            "tool.call.started",
            {"name": call.name, "version": call.version, "caller": call.caller, "id": call.id},
            subject=call.id,
        )
        return await self._ask(descriptor, call, seconds)

    async def _ask(self, descriptor: ToolDescriptor, call: ToolCall, seconds: float) -> ToolResult:
        try:
            return read(
                await self._host.request(descriptor.address, ToolOrder(call), timeout=seconds),
                ToolResult,
            )
        except NoResponders:
            self.registry.remove(descriptor.owner, [descriptor.name])
            raise ToolError(
                call.name, "PROVIDER_UNAVAILABLE", f"{descriptor.owner!r} is gone; start it again"
            ) from None
        except RequestTimeout:
            await self._cancel(descriptor, call)
            raise ToolError(
                call.name, "ACTION_TIMEOUT", f"not done within {seconds:g} s; it was cancelled"
            ) from None
        except InvalidEnvelope as error:
            raise ToolError(
                call.name, "ACTION_ERROR", f"its provider answered wrongly: {error}"
            ) from error

    async def _cancel(self, descriptor: ToolDescriptor, call: ToolCall) -> None:
        unwanted = {"id": call.id, "caller": call.caller}
        await self._host.publish(f"{descriptor.address}.cancel", unwanted, subject=call.id)

    async def _tell(self, call: ToolCall, result: ToolResult) -> None:
        outcome: dict[str, Any] = {
            "name": call.name,
            "id": call.id,
            "caller": call.caller,
            "code": result.code,
            "duration": result.duration,
        }
        if not result.is_ok:
            self.counts["failed"] += 1
            message = result.error.message if result.error else ""
            outcome["message"] = message
            self._host.tell_error(
                result.code, ToolError(call.name, result.code, message), call=call.id
            )
        topic = "tool.call.completed" if result.is_ok else "tool.call.failed"
        try:
            await self._host.publish(topic, outcome, subject=call.id)
        except LoomError as error:
            self._host.log.warning("the outcome of %s was not told: %s", call.id, error)
