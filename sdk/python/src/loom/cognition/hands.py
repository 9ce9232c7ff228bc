"""Tools as a run has them: which there are, and the calls of one step side by side.

Whatever a call comes to is an `Outcome`: a refusal, a tool that there is not and arguments that
make no sense are told to the model, which can do better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from loom_kernel import LoomError, NoResponders, RequestTimeout, current

from loom.capabilities import Capability
from loom.cognition.rendering import fields, rendered
from loom.context import Context
from loom.contracts import (
    SEARCH,
    BudgetExceeded,
    ModelTool,
    ToolDescriptor,
    ToolError,
    ToolUse,
)

T = TypeVar("T")

MOST_TOLD = 64
"""Tools that a model is told of at most, those it found by searching included."""
MOST_TEXT = 4_000
"""Characters of an error that a model is told."""

Permission = Callable[[str, dict[str, Any], str], bool | Awaitable[bool]]
"""Asked with the tool, its arguments and the model's reason; False refuses the call."""


class Local(msgspec.Struct, frozen=True):
    """A function of the agent's own process that its model may call."""

    capability: Capability
    labels: frozenset[str] = frozenset()
    """What its results carry."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a call."""

    use: ToolUse
    output: Any = None
    text: str = ""
    """The output, or what went wrong, as the model is told."""
    error: str = ""
    """The code of a failure."""
    latency_ms: float = 0.0
    is_known: bool = True
    """Whether there is such a tool and its arguments could be read."""


class Hands:
    """The tools of one run."""

    def __init__(
        self,
        ctx: Context,
        *,
        available: Sequence[str] | None,
        local: dict[str, Local],
        permission: Permission | None,
        at_once: int,
        limit: int,
        timeout_ms: float,
    ) -> None:
        self._ctx = ctx
        self._available = None if available is None else frozenset(available)
        self._local = local
        self._permission = permission
        self._places = asyncio.Semaphore(at_once)
        self._limit = limit
        self._timeout = timeout_ms
        self._told: dict[str, ToolDescriptor] = {}
        self._names: dict[str, str] = {}

    @property
    def tools(self) -> tuple[ModelTool, ...]:
        """What the model is told of, in an order that stays."""
        return tuple(
            ModelTool(tool.name, tool.description, tool.parameters) for tool in self._told.values()
        )

    async def discover(self, goal: str) -> None:
        """Find the tools for *goal*: those that were named, else those that fit."""
        for local in self._local.values():
            self._tell([local.capability.descriptor()])
        if self._available is not None and not self._available:
            return
        try:
            self._tell(await self._ctx.tools(goal, self._limit))
            for name in sorted((self._available or frozenset()) - self._told.keys()):
                await self._tell_of(name)
        except (NoResponders, RequestTimeout) as error:
            self._ctx.log.warning("no tools but its own: %s", error)

    async def _tell_of(self, name: str) -> None:
        """Tell the model of the tool called *name*, which may be another name of it."""
        found = (await self._ctx.host.request("tool.list", {"name": name})).data["tools"]
        tools = msgspec.convert(found, list[ToolDescriptor])[:1]
        for tool in tools:
            self._available = (self._available or frozenset()) | {tool.name}
            self._names.setdefault(name, tool.name)
        self._tell(tools)

    def offer(self, name: str, local: Local) -> None:
        """Let the model call *local* too from now on."""
        if name not in self._local:
            self._local[name] = local
            self._tell([local.capability.descriptor()])

    def resolve(self, name: str) -> str:
        """The tool that a model means by *name*; empty if it is told of none like it."""
        return name if name in self._told else self._names.get(name, "")

    async def use(self, uses: Sequence[ToolUse], reason: str) -> list[Outcome]:
        """Run the calls side by side, as many at once as may be; the outcomes in their order.

        What the run causes afterwards carries the labels of all results.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(use, reason)) for use in uses]
        done = [task.result() for task in tasks]
        carry(label for _, labels in done for label in labels)
        return [outcome for outcome, _ in done]

    async def _one(self, use: ToolUse, reason: str) -> tuple[Outcome, frozenset[str]]:
        async with self._places:
            began = self._ctx.host.clock.monotonic()
            outcome = await self._outcome(use, reason)
            spent = (self._ctx.host.clock.monotonic() - began) * 1000
        cause = current.get()  # of this task alone: what its call brought with it
        labels = cause.labels if cause else frozenset[str]()
        return msgspec.structs.replace(outcome, latency_ms=spent), labels

    async def _outcome(self, use: ToolUse, reason: str) -> Outcome:
        if use.problem:
            return _failed(use, "INVALID_PARAMS", use.problem, is_known=False)
        name = self.resolve(use.name) or use.name
        if not self._may(name):
            return _failed(use, "CAPABILITY_ERROR", self._unknown(use.name), is_known=False)
        try:
            if not await self._is_permitted(name, use, reason):
                return _failed(use, "PERMISSION_DENIED", "this call was not permitted")
            output = await self._call(name, use, reason)
        except ToolError as error:
            is_known = error.code not in ("CAPABILITY_ERROR", "INVALID_PARAMS")
            return _failed(use, error.code, _with_details(error), is_known=is_known)
        except BudgetExceeded as error:
            return _failed(use, "BUDGET_EXCEEDED", str(error))
        except LoomError as error:  # the bus took no more: hops, room, the end of a bridge
            return _failed(use, "ACTION_ERROR", str(error))
        if name == SEARCH.name:
            self._tell(_found(output))
        return Outcome(use, output, rendered(output))

    async def _call(self, name: str, use: ToolUse, reason: str) -> Any:
        local = self._local.get(name)
        if local is None:
            return await self._ctx.tool(
                name, use.arguments, timeout_ms=self._timeout, reason=reason[:1000]
            )
        output = await self._contained(name, local.capability.invoke(use.arguments, self._ctx))
        carry(local.labels)
        return output

    async def _contained(self, name: str, work: Awaitable[T]) -> T:
        """What *work*, an app's own function, comes to; what it raises is a failure of *name*."""
        try:
            return await work
        except LoomError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise  # the run's own end; any other is the function's, leaked
            self._ctx.log.exception("%s failed", name)
            raise ToolError(name, "ACTION_ERROR", f"{type(error).__name__}: {error}") from error

    async def _is_permitted(self, name: str, use: ToolUse, reason: str) -> bool:
        known = self._told.get(name)
        is_harmless = name in self._local or (known is not None and known.hints.read_only)
        if self._permission is None or is_harmless:
            return True
        asked = _asked(self._permission, name, use.arguments, reason)
        return await self._contained(f"the permission callback for {name}", asked)

    def _may(self, name: str) -> bool:
        """Whether the model may call *name* at all; the broker knows whether there is one."""
        return self._available is None or name in self._available or name in self._local

    def _unknown(self, name: str) -> str:
        known = ", ".join(list(self._told)[:20]) or "none"
        return f"there is no tool {name[:100]!r}; yours are: {known}"

    def _tell(self, tools: Iterable[ToolDescriptor]) -> None:
        for tool in tools:
            if self._may(tool.name) and len(self._told) < MOST_TOLD:
                self._told.setdefault(tool.name, tool)
                for mark in ("__", ".", "_", "/"):
                    self._names.setdefault(tool.name.replace(":", mark), tool.name)


def carry(labels: Iterable[str]) -> None:
    """Let all that is caused from here on carry *labels* too."""
    cause, more = current.get(), frozenset(labels)
    if cause is not None and not more <= cause.labels:
        current.set(msgspec.structs.replace(cause, labels=cause.labels | more))


async def _asked(permission: Permission, *question: Any) -> bool:
    answer = permission(*question)
    return bool(await answer if isinstance(answer, Awaitable) else answer)


def _failed(use: ToolUse, code: str, message: str, *, is_known: bool = True) -> Outcome:
    return Outcome(use, None, f"{code}: {message}"[:MOST_TEXT], code, is_known=is_known)


def _with_details(error: ToolError) -> str:
    return f"{error.message}\n{fields(error.details)}" if error.details else error.message


def _found(output: Any) -> list[ToolDescriptor]:
    """The tools that a search found: the model may be told of them like of the others."""
    try:
        return msgspec.convert(output["tools"], list[ToolDescriptor])
    except (KeyError, TypeError, msgspec.ValidationError):
        return []
