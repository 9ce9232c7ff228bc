"""A mind that says what it was told to say, and a stage on which it thinks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from loom import CognitiveAgent, CognitiveConfig, Context, ToolProvider
from loom.contracts import (
    Message,
    ModelPart,
    ModelReply,
    ModelRequest,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolDescriptor,
    ToolUse,
    Usage,
)
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder

Line = ModelReply | Exception | Callable[[ModelRequest], ModelReply]
Handler = Callable[[ToolCall], Awaitable[Any]]
USED = Usage(input_tokens=10, output_tokens=5)


def say(text: str, *, thinking: str = "", finish: Any = "stop") -> ModelReply:
    thoughts = (Thinking(thinking),) if thinking else ()
    return ModelReply(text, thinking=thoughts, finish=finish, usage=USED)


def call(*uses: ToolUse, text: str = "") -> ModelReply:
    return ModelReply(text, uses, finish="tool_calls", usage=USED)


def use(name: str, id: str = "", **arguments: Any) -> ToolUse:
    return ToolUse(id or f"id-{name}", name, arguments)


class ScriptedMind:
    """Says its lines in order; the last one again and again if *repeats*."""

    name = "scripted"

    def __init__(
        self, *lines: Line, window: int = 32_000, repeats: bool = False, pieces: int = 7
    ) -> None:
        self.context_window = window
        self.requests: list[ModelRequest] = []
        self.is_open = 0
        """Streams that are open."""
        self.hangs = asyncio.Event()
        """Set when a stream has told all but its reply, and `hold` was asked for."""
        self.hold = False
        self.factor = 1
        """By how much it counts more tokens than one for three letters."""
        self.drops_reply = False
        self.lines = list(lines)
        self._repeats = repeats
        self._pieces = pieces

    def count_tokens(self, text: str) -> int:
        return (len(text) // 3 + 1) * self.factor

    async def ask(self, request: ModelRequest) -> ModelReply:
        self.requests.append(request)
        await asyncio.sleep(0)
        line = self.lines[0] if self._repeats and len(self.lines) == 1 else self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        return line if isinstance(line, ModelReply) else line(request)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        reply = await self.ask(request)
        self.is_open += 1
        try:
            yield self._parts(reply)
        finally:
            self.is_open -= 1

    async def _parts(self, reply: ModelReply) -> AsyncIterator[ModelPart]:
        for thought in reply.thinking:
            yield ThinkingDelta(thought.text)
        for at in range(0, len(reply.content), self._pieces):
            yield TextDelta(reply.content[at : at + self._pieces])
        if self.hold:
            self.hangs.set()
            await asyncio.Event().wait()
        if not self.drops_reply:
            yield reply

    @property
    def heard(self) -> tuple[Message, ...]:
        """The messages of the last request."""
        return self.requests[-1].messages

    def prompt(self, number: int = -1) -> str:
        """All that a request says."""
        return "\n".join(message.content for message in self.requests[number].messages)


class Stage:
    """A runtime with tools to act on, and an agent that thinks."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.ctx = Context(runtime.host("ada"), "ada")
        self.events = EventRecorder(runtime.host("witness"), ">")
        self.ran: list[ToolCall] = []
        self._provider = ToolProvider(runtime.host("workshop"))

    async def offer(self, name: str, handler: Handler | None = None, **fields: Any) -> None:
        """A tool that returns its arguments, or what *handler* does."""

        async def run(call: ToolCall) -> Any:
            self.ran.append(call)
            return await handler(call) if handler else dict(call.arguments)

        described = {"description": f"The tool {name}", "parameters": {"type": "object"}, **fields}
        self._provider.add(ToolDescriptor(name, **described), run)
        await self._provider.start()

    def thinker(
        self,
        mind: Any,
        *,
        tools: Sequence[str] | None = None,
        permission: Any = None,
        workspace: Any = None,
        **config: Any,
    ) -> CognitiveAgent:
        settings = CognitiveConfig(**config)
        return CognitiveAgent(self.ctx, mind, settings, tools, permission, workspace)

    @property
    def names(self) -> list[str]:
        """The tools that ran, in order."""
        return [call.name for call in self.ran]
