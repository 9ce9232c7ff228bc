"""The path of a tool call. There is no other.

freeze → resolve → validate → count → judge → (ask a person) → intend → execute → result → tell

The arguments are frozen first, as canonical JSON: what is validated, judged, shown to a person,
sealed in a capsule and handed to the provider are the same bytes, whatever the caller does to its
own objects meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom.contracts import (
    Approval,
    Capsule,
    Preparation,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolOrder,
    ToolResult,
    canonical,
    read,
)
from loom_kernel import Envelope, Host, InvalidEnvelope, LoomError, NoResponders, RequestTimeout

from loom_plugin_tools.desk import Desk
from loom_plugin_tools.limits import Limits
from loom_plugin_tools.policy import Policy
from loom_plugin_tools.registry import Registry
from loom_plugin_tools.validation import Validators

Key = tuple[str, str]
"""Caller and call id."""
Record = Callable[..., None]
PREPARING = 10.0
"""Seconds that a provider has to say what a call would touch."""


class Broker:
    """Runs calls. Calls of one id by one caller run once."""

    def __init__(
        self,
        host: Host,
        registry: Registry,
        policy: Policy,
        limits: Limits,
        record: Record,
        *,
        timeout: float,
        remembered: int,
    ) -> None:
        self.desk: Desk
        self.validators = Validators()
        self.counts = {"calls": 0, "failed": 0, "repeated": 0, "asked": 0, "refused": 0}
        self._host = host
        self._registry = registry
        self._policy = policy
        self._limits = limits
        self._record = record
        self._timeout = timeout
        self._remembered = remembered
        self._results: OrderedDict[Key, asyncio.Future[ToolResult]] = OrderedDict()
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._cancelled: dict[Key, ToolFailure] = {}

    # -- calls -------------------------------------------------------------------------------

    async def accept(self, envelope: Envelope) -> None:
        """Run the call in *envelope* in a task of its own, so that a slow one holds up nobody."""
        try:
            call = _frozen(read(envelope, ToolCall))
        except (InvalidEnvelope, TypeError, ValueError, RecursionError) as error:
            wrong = ToolResult("", "INVALID_PARAMS", error=ToolFailure(str(error)))
            await self._host.reply(envelope, wrong)
            return
        call = msgspec.structs.replace(call, id=call.id or envelope.id, caller=envelope.sender)
        task = self._host.spawn(self._answer(envelope, call), f"call/{call.name}/{call.id}")
        key = (call.caller, call.id)
        if key not in self._running:
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))

    async def cancel(self, envelope: Envelope) -> None:
        """The caller does not want the outcome any more."""
        id = envelope.data.get("id", "") if isinstance(envelope.data, dict) else ""
        self._cancel_call((envelope.sender, id), ToolFailure("its caller cancelled it"))

    def cancel_all(self, why: str) -> int:
        """End all that runs; how many calls that were."""
        running = list(self._running)
        for key in running:
            self._cancel_call(key, ToolFailure(why))
        return len(running)

    def _cancel_call(self, key: Key, why: ToolFailure) -> None:
        task = self._running.get(key)
        if task is not None and key not in self._cancelled:
            self._cancelled[key] = why
            task.cancel()

    async def resume(self, approval: Approval) -> ToolResult:
        """Run what was approved when nobody waits for it any more: the runtime was restarted."""
        capsule = approval.capsule
        call = ToolCall(
            capsule.tool, msgspec.json.decode(capsule.arguments), capsule.call, capsule.version,
            capsule.timeout, capsule.principal, capsule.reason,
        )  # fmt: skip
        return await self._once(call, lambda: self._do_approved(call, capsule))

    async def _answer(self, envelope: Envelope, call: ToolCall) -> None:
        result = await self._once(call, lambda: self._execute(call, envelope.labels))
        await self._host.reply(envelope, result)

    async def _once(
        self, call: ToolCall, execute: Callable[[], Awaitable[ToolResult]]
    ) -> ToolResult:
        """Run *call*, or wait for the run or take the result of the same id."""
        key = (call.caller, call.id)
        known = self._results.get(key)
        if known is not None:
            self.counts["repeated"] += 1
            return await asyncio.shield(known)
        future: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        self._results[key] = future
        self._forget()
        try:
            result = await self._run(call, execute)
        except BaseException:
            del self._results[key]
            future.cancel()
            raise
        future.set_result(result)
        return result

    def _forget(self) -> None:
        if len(self._results) > self._remembered:
            oldest = next((k for k, known in self._results.items() if known.done()), None)
            if oldest is not None:
                del self._results[oldest]

    async def _run(
        self, call: ToolCall, execute: Callable[[], Awaitable[ToolResult]]
    ) -> ToolResult:
        started = self._host.clock.monotonic()
        self.counts["calls"] += 1
        try:
            result = await execute()
        except asyncio.CancelledError:
            result = self._ended(call)
        except ToolError as error:
            result = ToolResult(
                call.id, error.code, error=ToolFailure(error.message, error.details)
            )
        except LoomError as error:  # the bus took no more: hops, room, the end
            result = ToolResult(call.id, "ACTION_ERROR", error=ToolFailure(str(error)))
        except Exception as error:  # a schema or a rule breaks: the caller gets an answer
            self._host.log.exception("call of %s failed", call.name)
            failure = ToolFailure(f"{type(error).__name__}: {error}"[:500])
            result = ToolResult(call.id, "ACTION_ERROR", error=failure)
        result = msgspec.structs.replace(
            result, id=call.id, duration=self._host.clock.monotonic() - started
        )
        await self._tell(call, result)
        return result

    def _ended(self, call: ToolCall) -> ToolResult:
        """The outcome of a call that was cancelled; the runtime's own end goes on as it came."""
        why = self._cancelled.pop((call.caller, call.id), None)
        task = asyncio.current_task()
        if why is None or task is None:
            raise asyncio.CancelledError
        task.uncancel()
        failure = ToolFailure(why.message, {"reason": "cancelled"})
        return ToolResult(call.id, "ACTION_ERROR", error=failure)

    # -- deciding ----------------------------------------------------------------------------

    async def _execute(self, call: ToolCall, labels: frozenset[str]) -> ToolResult:
        if call.timeout < 0:
            raise ToolError(call.name, "INVALID_PARAMS", "the timeout is less than 0")
        tool = self._registry.resolve(call.name, call.version)
        self.validators.check(tool, call.arguments)
        self._limits.count(call.name, call.caller)
        seconds = call.timeout or tool.timeout or self._timeout
        patience = call.timeout
        call = msgspec.structs.replace(call, version=tool.version, timeout=seconds)
        verdict = self._policy.judge(tool, call.caller, labels)
        if verdict.answer == "allow":
            return await self._do(tool, call, None)
        if verdict.answer == "deny":
            self.counts["refused"] += 1
            raise ToolError(call.name, "PERMISSION_DENIED", "; ".join(verdict.why))
        capsule = await self._approved(tool, call, verdict.why, labels, patience)
        return await self._do_approved(call, capsule)

    async def _approved(
        self,
        tool: ToolDescriptor,
        call: ToolCall,
        why: tuple[str, ...],
        labels: frozenset[str],
        patience: float,
    ) -> Capsule:
        """Ask a person; the capsule they approved. *patience* in seconds, 0 = the owner's."""
        from loom.pins import fingerprint

        self.counts["asked"] += 1
        capsule = self.desk.capsule(
            call=call.id, principal=call.caller, tool=tool.name, version=tool.version,
            owner=tool.owner, definition=fingerprint(tool), arguments=call.arguments,
            preparation=await self._prepared(tool, call), labels=tuple(sorted(labels)),
            reason=call.reason, timeout=call.timeout,
        )  # fmt: skip
        await self.desk.obtain(tool, capsule, why, patience or self.desk.timeout)
        return capsule

    async def _prepared(self, tool: ToolDescriptor, call: ToolCall) -> Preparation:
        """What its provider says that *call* would touch."""
        if not tool.is_prepared:
            return Preparation()
        answer = await self._host.request(f"{tool.address}.prepare", call, timeout=PREPARING)
        if isinstance(answer.data, ToolResult):
            failure = answer.data.error or ToolFailure(answer.data.code)
            raise ToolError(call.name, answer.data.code, failure.message, failure.details)
        return read(answer, Preparation)

    async def _do_approved(self, call: ToolCall, capsule: Capsule) -> ToolResult:
        """Run what *capsule* holds, if the tool is still the one that it was."""
        from loom.pins import fingerprint

        tool = self._registry.resolve(capsule.tool, capsule.version)
        if tool.version != capsule.version or fingerprint(tool) != capsule.definition:
            text = "the tool is not any more what it was when this was approved; ask again"
            raise ToolError(call.name, "APPROVAL_DENIED", text)
        if self._policy.halted_by:
            raise ToolError(call.name, "PERMISSION_DENIED", "a halt was called; `loom resume`")
        return await self._do(tool, call, capsule)

    # -- doing -------------------------------------------------------------------------------

    async def _do(
        self, tool: ToolDescriptor, call: ToolCall, capsule: Capsule | None
    ) -> ToolResult:
        async with self._limits.place(tool, call.timeout):
            intent = {
                "name": call.name, "version": call.version, "caller": call.caller, "id": call.id,
            }  # fmt: skip
            self._record("tool.call.started", call.caller, call.name, id=call.id)
            await self._host.publish("tool.call.started", intent, subject=call.id)
            return await self._ask(tool, call, ToolOrder(call, capsule))

    async def _ask(self, tool: ToolDescriptor, call: ToolCall, order: ToolOrder) -> ToolResult:
        labels = order.capsule.labels if order.capsule is not None else ()
        try:
            answer = await self._host.request(
                tool.address, order, timeout=call.timeout, labels=labels
            )
            return read(answer, ToolResult)
        except NoResponders:
            self._registry.remove(tool.owner, [tool.name])
            raise ToolError(
                call.name, "PROVIDER_UNAVAILABLE", f"{tool.owner!r} is gone; start it again"
            ) from None
        except RequestTimeout:
            await self._unwanted(tool, call)
            text = f"not done within {call.timeout:g} s; it was cancelled"
            raise ToolError(call.name, "ACTION_TIMEOUT", text) from None
        except asyncio.CancelledError:
            await self._unwanted(tool, call)
            raise
        except InvalidEnvelope as error:
            raise ToolError(
                call.name, "ACTION_ERROR", f"its provider answered wrongly: {error}"
            ) from error

    async def _unwanted(self, tool: ToolDescriptor, call: ToolCall) -> None:
        unwanted = {"id": call.id, "caller": call.caller}
        await self._host.publish(f"{tool.address}.cancel", unwanted, subject=call.id)

    async def _tell(self, call: ToolCall, result: ToolResult) -> None:
        outcome: dict[str, Any] = {
            "name": call.name,
            "id": call.id,
            "caller": call.caller,
            "code": result.code,
            "duration": result.duration,
        }
        message = ""
        if not result.is_ok:
            self.counts["failed"] += 1
            outcome["message"] = message = result.error.message if result.error else ""
            self._host.tell_error(
                result.code, ToolError(call.name, result.code, message), call=call.id
            )
        topic = "tool.call.completed" if result.is_ok else "tool.call.failed"
        try:
            self._record(topic, call.caller, call.name, id=call.id, code=result.code)
            await self._host.publish(topic, outcome, subject=call.id)
        except LoomError as error:
            self._host.log.warning("the outcome of %s was not told: %s", call.id, error)


def _frozen(call: ToolCall) -> ToolCall:
    """*call* with arguments of its own, that are what their canonical JSON says."""
    arguments = msgspec.json.decode(canonical(call.arguments))
    return msgspec.structs.replace(call, arguments=arguments)
