"""Telling a turn as it goes: the first words at once, the rest a few at a time."""

from __future__ import annotations

import asyncio

from loom import CognitiveResult, Context, ThoughtStep
from loom.contracts import ChatKind, ChatSaid, ChatTold, ThinkingDelta

GATHER = 0.03
"""Seconds for which words are gathered before they are told: each telling is an event."""


class Teller:
    """Tells the parts of the turn that *said* began, on *topic*."""

    def __init__(self, ctx: Context, topic: str, said: ChatSaid) -> None:
        self._ctx = ctx
        self._topic = topic
        self._said = said
        self._kind: ChatKind = "text"
        self._gathered = ""
        self._told_at = 0.0
        self._telling = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """The turn begins, perhaps anew."""
        await self._tell("begun", "")

    async def take(self, part: str | ThinkingDelta | ThoughtStep) -> None:
        """Tell *part*, soon."""
        if isinstance(part, ThoughtStep):
            await self._flush()
            tools = tuple(action.tool for action in part.actions)
            if tools or part.notice:
                await self._tell("step", part.observation, tools)
            return
        kind: ChatKind = "text" if isinstance(part, str) else "thinking"
        if kind != self._kind:
            await self._flush()
        self._kind = kind
        self._gathered += part if isinstance(part, str) else part.text
        wait = self._told_at + GATHER - self._ctx.host.clock.monotonic()
        if wait <= 0:
            await self._flush()
        elif self._later is None or self._later.done():
            self._later = self._ctx.host.spawn(self._flush_after(wait), "tells")

    async def end(self, result: CognitiveResult) -> None:
        """Tell what the turn came to."""
        await self._flush()
        if result.success:
            await self._tell("answered", result.answer)
        else:
            await self._tell("failed", str(result.error))

    async def fail(self, reason: str) -> None:
        """There is no answer."""
        await self._flush()
        await self._tell("failed", reason)

    async def _flush_after(self, seconds: float) -> None:
        await self._ctx.host.clock.sleep(seconds)
        await self._flush()

    async def _flush(self) -> None:
        async with self._telling:
            kind, text, self._gathered = self._kind, self._gathered, ""
            if text:
                self._told_at = self._ctx.host.clock.monotonic()
                await self._tell(kind, text)

    async def _tell(self, kind: ChatKind, text: str, tools: tuple[str, ...] = ()) -> None:
        told = ChatTold(kind, self._said.turn, self._said.session, text, tools)
        await self._ctx.emit(self._topic, told)
