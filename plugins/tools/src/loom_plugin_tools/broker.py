"""The path of a tool call. There is no other.

freeze → resolve → validate → count → judge → (ask a person) → intend → execute → result → tell

The arguments are frozen first, as canonical JSON: what is validated, judged, shown to a person,
sealed in a capsule and handed to the provider are the same bytes, whatever the caller does to its
own objects meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import count
from typing import Any

import msgspec
from loom.contracts import (
    Approval,
    BudgetExceeded,
    Budgets,
    Capsule,
    Preparation,
    Provider,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolOrder,
    ToolResult,
    canonical,
    read,
)
from loom_kernel import (
    Envelope,
    HopLimitExceeded,
    Host,
    InvalidEnvelope,
    LoomError,
    current,
)

from loom_plugin_tools.announcements import Announcements
from loom_plugin_tools.desk import Desk
from loom_plugin_tools.limits import Limits
from loom_plugin_tools.memory import Memory
from loom_plugin_tools.policy import Policy
from loom_plugin_tools.registry import Registry
from loom_plugin_tools.results import Key, Outcome, Results
from loom_plugin_tools.validation import Validators

NO_LABELS: frozenset[str] = frozenset()
Record = Callable[..., None]
CALL = {"calls": 1.0}
"""What a call costs."""
PREPARING = 10.0
"""Seconds that a provider has to say what a call would touch."""


Execute = Callable[["_Work"], Awaitable[ToolResult]]


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
        results: Results,
    ) -> None:
        self.desk: Desk
        self.memory: Memory
        self.budgets: Budgets | None = None
        self.announcements: Announcements
        self.validators = Validators()
        self.counts = {"calls": 0, "failed": 0, "repeated": 0, "asked": 0, "refused": 0}
        self._host = host
        self._registry = registry
        self._policy = policy
        self._limits = limits
        self._record = record
        self._timeout = timeout
        self._results = results
        self._running: dict[Key, asyncio.Task[Any]] = {}
        self._prefix = secrets.token_hex(8)
        self._numbers = count()
        self._cancelled: dict[Key, ToolFailure] = {}

    # -- calls -------------------------------------------------------------------------------

    async def run(self, caller: str, call: ToolCall) -> tuple[ToolResult, frozenset[str]]:
        """See `loom.contracts.Tools`."""
        try:
            call = msgspec.structs.replace(_frozen(call), caller=caller)
        except (TypeError, ValueError, RecursionError) as error:
            wrong = ToolFailure(f"the arguments have no JSON form: {error}")
            return ToolResult(call.id, "INVALID_PARAMS", error=wrong), NO_LABELS
        cause = current.get() or self._root(caller)
        if not call.id:
            call = msgspec.structs.replace(call, id=self.memory.id_of(call, cause) or self._id())
        token = current.set(cause)  # what is told of a call is told as of one
        key = (caller, call.id)
        task = asyncio.current_task()
        if task is not None:
            self._running.setdefault(key, task)
        work = _Work(call, cause)
        try:
            result = await self._once(work, self._execute)
            called = msgspec.structs.replace(
                work.call, name=call.name
            )  # a replay calls it so again
            self.memory.tell(cause, called, (result, work.labels))
            if not result.is_ok:
                await asyncio.sleep(0)  # whoever tries again and again lets others have their turn
            return result, work.labels
        finally:
            if self._running.get(key) is task:
                del self._running[key]
            current.reset(token)

    async def accept(self, envelope: Envelope) -> None:
        """Run the call in *envelope* in a task of its own, so that a slow one holds up nobody."""
        try:
            call = read(envelope, ToolCall)
        except InvalidEnvelope as error:
            wrong = ToolResult("", "INVALID_PARAMS", error=ToolFailure(str(error)))
            await self._host.reply(envelope, wrong)
            return
        self._host.spawn(self._answer(envelope, call), f"call/{call.name}/{envelope.id}")

    async def _answer(self, envelope: Envelope, call: ToolCall) -> None:
        result, labels = await self.run(envelope.sender, call)
        await self._host.reply(envelope, result, labels=labels)

    def offer(self, owner: str, tools: Iterable[ToolDescriptor], provider: Provider) -> None:
        """See `loom.contracts.Tools`."""
        self.announcements.offer(owner, list(tools), provider)

    def leave(self, owner: str, provider: Provider) -> None:
        """See `loom.contracts.Tools`."""
        self.announcements.leave(owner, provider)

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
        work = _Work(call, current.get() or self._root(call.caller))
        work.labels |= frozenset(capsule.labels)
        return await self._once(work, partial(self._do_approved, capsule=capsule))

    async def _once(self, work: _Work, execute: Execute) -> ToolResult:
        """Do *work*, or wait for the run or take the result of the same id."""
        key = (work.call.caller, work.call.id)
        known = self._results.find(key)
        if known is not None:
            self.counts["repeated"] += 1
            result, work.labels = await asyncio.shield(known)
            return result
        self._results.begin(key)
        try:
            result = await self._run(work, execute)
        except BaseException:
            self._results.drop(key, (_lost(work.call), NO_LABELS))
            raise
        self._results.keep(key, (result, work.labels))
        return result

    async def _run(self, work: _Work, execute: Execute) -> ToolResult:
        call = work.call
        started = self._host.clock.monotonic()
        self.counts["calls"] += 1
        try:
            result = await execute(work)
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
        await self._tell(work.call, result)
        return result

    def _ended(self, call: ToolCall) -> ToolResult:
        """The outcome of a call that was cancelled; the runtime's own end goes on as it came."""
        why = self._cancelled.pop((call.caller, call.id), None)
        task = asyncio.current_task()
        if why is None or task is None:
            raise asyncio.CancelledError
        if task.uncancel():  # somebody else ended it too: their cancel goes on after the outcome
            task.uncancel()
            task.cancel()
        failure = ToolFailure(why.message, {"reason": "cancelled"})
        return ToolResult(call.id, "ACTION_ERROR", error=failure)

    # -- deciding ----------------------------------------------------------------------------

    async def _execute(self, work: _Work) -> ToolResult:
        call = work.call
        if call.timeout < 0:
            raise ToolError(call.name, "INVALID_PARAMS", "the timeout is less than 0")
        tool = await self._registry.find(call.name, call.version)
        call = work.call = msgspec.structs.replace(call, name=tool.name)  # not an alias of it
        self.validators.check(tool, call.arguments)
        self._limits.count(call.name, call.caller)
        verdict = self._policy.judge(tool, call.caller, work.labels)
        if verdict.answer == "deny":
            self.counts["refused"] += 1
            raise ToolError(call.name, "PERMISSION_DENIED", "; ".join(verdict.why))
        patience = call.timeout
        seconds = call.timeout or tool.timeout or self._timeout
        work.call = msgspec.structs.replace(call, version=tool.version, timeout=seconds)
        if verdict.answer == "allow":
            return await self._do(tool, work, None)
        capsule = await self._approved(tool, work, verdict.why, patience)
        return await self._do_approved(work, capsule)

    async def _approved(
        self, tool: ToolDescriptor, work: _Work, why: tuple[str, ...], patience: float
    ) -> Capsule:
        """Ask a person; the capsule they approved. *patience* in seconds, 0 = the owner's."""
        from loom.pins import fingerprint

        self.counts["asked"] += 1
        call = work.call
        capsule = self.desk.capsule(
            call=call.id, principal=call.caller, tool=tool.name, version=tool.version,
            owner=tool.owner, definition=fingerprint(tool), arguments=call.arguments,
            preparation=await self._prepared(tool, call), labels=tuple(sorted(work.labels)),
            reason=call.reason, timeout=call.timeout,
        )  # fmt: skip
        await self.desk.obtain(tool, capsule, why, patience or self.desk.timeout)
        return capsule

    async def _prepared(self, tool: ToolDescriptor, call: ToolCall) -> Preparation:
        """What its provider says that *call* would touch."""
        if not tool.is_prepared:
            return Preparation()
        try:
            async with asyncio.timeout(PREPARING):
                return await self._provider(tool).prepare(call)
        except TimeoutError:
            text = f"{tool.owner!r} did not say within {PREPARING:g} s what this would touch"
            raise ToolError(call.name, "ACTION_TIMEOUT", text) from None

    async def _do_approved(self, work: _Work, capsule: Capsule) -> ToolResult:
        """Run what *capsule* holds, if the tool is still the one that it was."""
        from loom.pins import fingerprint

        tool = self._registry.resolve(capsule.tool, capsule.version)
        if tool.version != capsule.version or fingerprint(tool) != capsule.definition:
            text = "the tool is not any more what it was when this was approved; ask again"
            raise ToolError(capsule.tool, "APPROVAL_DENIED", text)
        if self._policy.halted_by:
            raise ToolError(capsule.tool, "PERMISSION_DENIED", "a halt was called; `loom resume`")
        return await self._do(tool, work, capsule)

    # -- doing -------------------------------------------------------------------------------

    async def _do(self, tool: ToolDescriptor, work: _Work, capsule: Capsule | None) -> ToolResult:
        call = work.call
        self._pay(work)
        async with self._limits.place(tool, call.timeout):
            intent = {
                "name": call.name, "version": call.version, "caller": call.caller, "id": call.id,
            }  # fmt: skip
            self._record("tool.call.started", call.caller, call.name, id=call.id)
            await self._host.publish("tool.call.started", intent, subject=call.id)
            cause = work.passed_on()

            async def run() -> Outcome:
                try:
                    async with asyncio.timeout(call.timeout):
                        return await self._provider(tool).run(ToolOrder(call, capsule), cause)
                except TimeoutError:
                    text = f"not done within {call.timeout:g} s; it was cancelled"
                    raise ToolError(call.name, "ACTION_TIMEOUT", text) from None

            result, labels = await self.memory.once(tool, call, run)
        work.labels |= labels.union(tool.labels)
        return result

    def _pay(self, work: _Work) -> None:
        """Take what a call costs from what its cause may spend."""
        if self.budgets is None:
            return
        try:
            self.budgets.spend(work.cause, CALL)
        except BudgetExceeded as error:
            raise ToolError(work.call.name, "BUDGET_EXCEEDED", str(error)) from None

    def _provider(self, tool: ToolDescriptor) -> Provider:
        found = self._registry.provider(tool.owner)
        if found is None:
            text = f"{tool.owner!r} is gone; start it again"
            raise ToolError(tool.name, "PROVIDER_UNAVAILABLE", text)
        return found

    def _root(self, caller: str) -> Envelope:
        """The cause of a call that nothing caused."""
        now, number = self._host.clock.time(), secrets.randbits(62)
        return Envelope("tool.call", "", now, "tool.call", sender=caller, number=number)

    def _id(self) -> str:
        """An id for a call that came without one."""
        return f"{self._prefix}-{next(self._numbers)}"

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


class _Work:
    """A call on its way, and the labels of all that led to it and came of it."""

    def __init__(self, call: ToolCall, cause: Envelope) -> None:
        self.call = call
        self.cause = cause
        self.labels = cause.labels

    def passed_on(self) -> Envelope:
        """What causes what the tool does: one hop further than what caused the call.

        Raises:
            HopLimitExceeded: calls have led to calls for too long.
        """
        cause = self.cause
        if cause.ttl <= 1:
            raise HopLimitExceeded(f"tool {self.call.name}", cause.thread_id, cause.hop + 1)
        return msgspec.structs.replace(
            cause, ttl=cause.ttl - 1, hop=cause.hop + 1, labels=self.labels
        )


def _lost(call: ToolCall) -> ToolResult:
    failure = ToolFailure("the call of the same id was cancelled")
    return ToolResult(call.id, "ACTION_ERROR", error=failure)


def _frozen(call: ToolCall) -> ToolCall:
    """*call* with arguments of its own, that are what their canonical JSON says."""
    arguments = msgspec.json.decode(canonical(call.arguments))
    return msgspec.structs.replace(call, arguments=arguments)
