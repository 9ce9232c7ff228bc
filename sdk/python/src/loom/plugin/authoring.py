"""What the author of a plugin writes: its tools, and what it does about events."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from loom_kernel import LoomError, check_pattern, matches

from loom.capabilities import Capability
from loom.contracts import ToolCall, ToolDescriptor, ToolHints

TYPES = ("feature-extractor", "model-backend", "tool", "actuator")
"""What a plugin may be for, in the order of the protocol's numbers from 1 on."""
THREADS = 16

F = TypeVar("F", bound=Callable[..., Any])
News = Callable[[float, float, str], Awaitable[None]]


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """An event to publish because of another; who caused what, the runtime says."""

    topic: str
    """A literal within what the plugin was granted, or the `reply_to` of the event it answers."""
    data: Any = None
    type: str = ""
    subject: str = ""
    metadata: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    priority: int = 50
    confidence: float = 1.0


class Call:
    """The call that a tool runs for; a parameter of this type receives it."""

    def __init__(self, call: ToolCall, news: News | None) -> None:
        self.id = call.id
        self.caller = call.caller
        self.arguments = call.arguments
        self._news = news

    async def progress(self, done: float, total: float = 0.0, message: str = "") -> None:
        """Tell how far it has come; heard if the tool was declared with `reports=True`."""
        if self._news is not None:
            await self._news(done, total, message)


class Tool(msgspec.Struct, frozen=True):
    """One tool, and what runs it."""

    descriptor: ToolDescriptor
    run: Callable[[Call], Awaitable[Any]]
    reports: bool


class Plugin:
    """A plugin in a process of its own. Declare what it does, then call `run`.

        plugin = Plugin(types=("tool",), version="1.0")

        @plugin.tool("text:count")
        def count(text: str) -> dict[str, int]:
            "Count the words of a text."
            return {"words": len(text.split())}

        plugin.run()

    Functions are async, or sync: then they run in a thread and cannot be interrupted; Loom ends
    the process if a cancelled one still runs after two seconds. Standard output is read no
    further than the handshake: print messages to standard error, they are logged.
    """

    def __init__(self, *, types: Iterable[str] = ("tool",), version: str = "0.1.0") -> None:
        self.types = tuple(types)
        if unknown := [type for type in self.types if type not in TYPES]:
            raise LoomError(f"a plugin is no {unknown[0]!r}; it is of: {', '.join(TYPES)}")
        self.version = version
        self.name = ""
        """Under which Loom knows it; this and the next three are there once it was started."""
        self.settings: dict[str, Any] = {}
        """`[process.<name>.settings]`."""
        self.permissions: tuple[str, ...] = ()
        """What it was granted."""
        self.state_dir: Path | None = None
        """Where it may keep files between runs, if it may."""
        self.tools: dict[tuple[str, str], Tool] = {}
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.starters: list[Callable[..., Any]] = []

    def tool(
        self,
        name: str,
        *,
        version: str = "1.0",
        description: str = "",
        reports: bool = False,
        **more: Any,
    ) -> Callable[[F], F]:
        """Declare a function as tool *name* (`namespace:verb`).

        Its parameters, with their types and defaults, are the tool's; a parameter of type `Call`
        receives the call. *more* are fields of `loom.contracts.ToolDescriptor`: timeout, hints,
        permissions, labels, concurrency, result.
        """

        def declare(function: F) -> F:
            hints = more.pop("hints", ToolHints())
            capability = Capability(asynchronous(function), name, version, hints, context=Call)
            described = msgspec.structs.replace(
                capability.descriptor(), provider="process", **more,
                description=description or inspect.getdoc(function) or name,
            )  # fmt: skip
            self.add(described, lambda call: capability.invoke(call.arguments, call), reports)
            return function

        return declare

    def add(
        self,
        descriptor: ToolDescriptor,
        run: Callable[[Call], Awaitable[Any]],
        reports: bool = False,
    ) -> None:
        """Offer the tool that *descriptor* describes; *run* gets the call, with its arguments."""
        self.tools[descriptor.name, descriptor.version] = Tool(descriptor, run, reports)

    def on(self, *patterns: str) -> Callable[[F], F]:
        """Declare a function that is called with each event of *patterns*, one after the other.

        It returns what to publish: nothing, an `Emission`, or several.
        """

        def declare(function: F) -> F:
            handler = asynchronous(function)
            for pattern in patterns:
                self.handlers[check_pattern(pattern)] = handler
            return function

        return declare

    def start(self, function: F) -> F:
        """Declare a function to call once, before anything else, when there are settings."""
        self.starters.append(asynchronous(function))
        return function

    def handlers_of(self, topic: str) -> Iterator[Callable[..., Any]]:
        """What is to be called with an event of *topic*, each function once."""
        found = [self.handlers[one] for one in self.handlers if matches(one, topic)]
        return iter(dict.fromkeys(found))

    def run(self) -> None:
        """Introduce itself to the Loom that started this process, and serve it to the end."""
        from loom.plugin.serving import serve

        raise SystemExit(serve(self))


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="plugin")


def asynchronous(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """*function*, in a thread if it is not async; cancelled, it ends when the thread has."""
    if inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    async def run(*arguments: Any, **named: Any) -> Any:
        work = functools.partial(copy_context().run, function, *arguments, **named)
        future = asyncio.get_running_loop().run_in_executor(_threads(), work)
        try:
            return await asyncio.shield(future)
        finally:
            if not future.done():
                await asyncio.wait([future])

    return run


def emissions(returned: Emission | Iterable[Emission] | None) -> list[Emission]:
    """What a handler returned, as a list.

    Raises:
        TypeError: it is something else.
    """
    if returned is None:
        return []
    found = [returned] if isinstance(returned, Emission) else list(returned)
    if wrong := [one for one in found if not isinstance(one, Emission)]:
        raise TypeError(f"a handler returns Emission or several, not {type(wrong[0]).__name__}")
    return found
