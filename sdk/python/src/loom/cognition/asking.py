"""Asking a model: at once or as it speaks, with bounds on what is taken of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from loom.cognition.mind import Mind
from loom.cognition.records import CognitiveResult, ThoughtStep
from loom.cognition.telling import Teller
from loom.contracts import (
    ModelError,
    ModelReply,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    ToolUse,
    Usage,
)

MOST_TEXT = 262_144
"""Characters that are taken of an answer."""
MOST_CALLS = 32
"""Calls that are taken of a turn."""
LONGEST_ID, LONGEST_NAME = 64, 256

Part = str | ThinkingDelta | ThoughtStep | CognitiveResult
"""What a run tells as it goes: text of the answer, reasoning, steps, at last the result."""
Tell = Callable[[Part], Awaitable[None]]


class Asker:
    """Asks *mind*; with *tell* its words are told as they come."""

    def __init__(self, mind: Mind, tell: Tell | None) -> None:
        self.usage = Usage()
        """Of all answers so far."""
        self.asked = 0
        """How often it was asked."""
        self.has_told = False
        """Whether the last answer was told as it came, or its text at least."""
        self._mind = mind
        self._tell = tell
        self._ids: set[str] = set()

    async def ask(
        self, request: ModelRequest, before: Literal["hidden", "thinking"] | None = None
    ) -> ModelReply:
        """The answer, cut to what may be taken of one; *before*: see `Teller`.

        Raises:
            ModelError: there is none, also if the stream ended without a reply.
        """
        self.asked += 1
        self.has_told = False
        if self._tell is None:
            reply = await self._mind.ask(request)
        else:
            reply = await self._streamed(request, Teller(before), self._tell)
        self.usage += reply.usage
        return self._bounded(reply)

    async def tell(self, part: Part) -> None:
        """Tell *part* to whoever listens."""
        if self._tell is not None:
            await self._tell(part)

    async def _streamed(self, request: ModelRequest, teller: Teller, tell: Tell) -> ModelReply:
        said: list[str] = []
        room = MOST_TEXT
        async with self._mind.stream(request) as parts:
            async for part in parts:
                if isinstance(part, ModelReply):
                    for told in teller.end():
                        await tell(told)
                    self.has_told = teller.has_told
                    return part
                room -= len(part.text)
                if room < 0:
                    break
                if isinstance(part, TextDelta):
                    said.append(part.text)
                    for told in teller.feed(part.text):
                        await tell(told)
                else:
                    await tell(part)
        why = f"it said more than {MOST_TEXT} characters" if room < 0 else "its stream just ended"
        code: Literal["MODEL_MALFORMED", "MODEL_INTERRUPTED"] = (
            "MODEL_MALFORMED" if room < 0 else "MODEL_INTERRUPTED"
        )
        raise ModelError(self._mind.name, code, why, partial="".join(said))

    def _bounded(self, reply: ModelReply) -> ModelReply:
        """*reply* with at most so much text and so many calls, each with an id of its own."""
        content = reply.content
        if len(content) > MOST_TEXT:
            content = content[:MOST_TEXT] + "\n[cut: it was longer]"
        thinking = reply.thinking
        if sum(len(thought.text) for thought in thinking) > MOST_TEXT:
            thinking = ()
        calls = tuple(
            self._named(_readable(call), place)
            for place, call in enumerate(reply.calls[:MOST_CALLS])
        )
        return msgspec.structs.replace(reply, content=content, calls=calls, thinking=thinking)

    def _named(self, call: ToolUse, place: int) -> ToolUse:
        """*call* with an id that tells it from all others of the run, the same in a replay."""
        id = call.id
        if not id or len(id) > LONGEST_ID or id in self._ids:
            id = f"call_{self.asked}_{place}"
        self._ids.add(id)
        return call if id == call.id else msgspec.structs.replace(call, id=id)


def _readable(call: ToolUse) -> ToolUse:
    """*call* with a name and arguments of a size that somebody may mean."""
    size = len(call.written)
    try:
        size += len(msgspec.json.encode(call.arguments))
        problem = f"the arguments have {size} characters; write less" if size > MOST_TEXT else ""
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"the arguments have no JSON form ({type(error).__name__})"
    if not problem and len(call.name) <= LONGEST_NAME:
        return call
    return msgspec.structs.replace(
        call, name=call.name[:LONGEST_NAME], arguments={}, written="",
        problem=problem or call.problem,
    )  # fmt: skip
