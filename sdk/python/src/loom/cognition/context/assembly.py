"""Putting a prompt together, never larger than the window.

What stands in it, and what has to go first when there is no room for all:

    never      the system prompt with its standing rules, the goal
    last       of the latest step: its outputs are cut, then it becomes a line
    before     failures of older steps · older steps told in full, which become lines
    earlier    lines of older successes, the oldest first
    at first   context of the least relevance · what was said longest ago

System prompt, context, memory and goal are chosen once a run: they stay the same from turn to turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from loom_kernel import LoomError

from loom.cognition.context.compaction import Line, StepCompactor
from loom.cognition.context.ranking import Piece
from loom.cognition.context.windows import TokenWindow
from loom.cognition.fences import fenced
from loom.cognition.memory import MemoryEntry
from loom.cognition.records import ThoughtStep
from loom.contracts import Message, ModelTool

LEAST = 64
"""Tokens that there must be for steps."""
MARGIN = 4
"""Tokens by which the parts of a text may have fewer than the whole."""
CONTEXT, MEMORY, RECENT = 0.25, 0.25, 0.7
"""Shares of what is free that context and memory may have, and steps told in full."""
HELP = "What may help:\n"
SO_FAR, EARLIER = "\n\nWhat you did so far, in short:\n", "earlier steps"


class WindowTooSmall(LoomError):
    """Not even the system prompt, the tools and the goal have room in the window."""

    def __init__(self, wanted: int, room: int) -> None:
        super().__init__(
            f"system prompt, tools and goal take {wanted} tokens of the {room} that there are; "
            "use a model with a larger window, fewer tools or a shorter goal"
        )


class Turn(msgspec.Struct, frozen=True):
    """A step as the conversation has it."""

    step: ThoughtStep
    said: Message
    """What the model said, word for word."""
    answers: tuple[Message, ...]
    """What it was told, one message a call; of long outputs the beginning."""
    fresh: tuple[Message, ...] = ()
    """The same with the outputs as long as they may be, for the turn that follows."""

    def told(self, answers: Iterable[Message]) -> list[Message]:
        """The step with *answers*; nothing stands for a model that said nothing."""
        has_said = self.said.content or self.said.calls
        return [self.said, *answers] if has_said else [*answers]


class Prompt:
    """The prompts of one run."""

    def __init__(
        self,
        window: TokenWindow,
        compactor: StepCompactor,
        *,
        system: str,
        goal: str,
        memory: Sequence[MemoryEntry] = (),
        pieces: Sequence[Piece] = (),
        tools: Sequence[ModelTool] = (),
    ) -> None:
        """*pieces* are ranked, the most relevant first.

        Raises:
            WindowTooSmall: what must be in every prompt has no room.
        """
        self._window = window
        self._compactor = compactor
        standing = [entry.content for entry in memory if entry.role == "system"]
        self._system = "\n\n".join([system, *standing])
        self._goal = goal
        self._pieces = tuple(pieces)
        self._memory = [entry for entry in memory if entry.role != "system"]
        self.offer(tools)

    def offer(self, tools: Sequence[ModelTool]) -> None:
        """The model is told of *tools* from now on.

        Raises:
            WindowTooSmall: they leave no room.
        """
        window = self._window
        fixed = [Message("system", self._system), Message("user", self._goal)]
        room = window.room - window.of_tools(tools)
        free = room - window.of_messages(fixed)
        if free < LEAST:
            raise WindowTooSmall(window.room - free, window.room)
        self._tools = tools
        context = self._chosen_context(int(free * CONTEXT))
        if context:
            fixed[0] = Message("system", f"{self._system}\n\n{context}")
        self._before = [fixed[0], *self._chosen_memory(int(free * MEMORY))]
        self._free = room - window.of_messages([*self._before, fixed[1]])

    def fit(self, size: int) -> None:
        """An answer came: *size* (0 = not known) and the counting may be others now.

        Raises:
            WindowTooSmall: what must be in every prompt has no room any more.
        """
        if self._window.renew(size):
            self.offer(self._tools)

    def messages(self, turns: Sequence[Turn], then: str = "") -> tuple[Message, ...]:
        """The conversation so far; *then* is what the model is asked at its end."""
        window = self._window
        asked = [Message("user", then)] if then else []
        left = self._free - window.of_messages(asked)
        latest = self._latest(turns, left)
        left -= window.of_messages(latest)
        recent, first = self._recent(turns, int(left * RECENT), has_latest=bool(latest))
        left -= window.of_messages(recent)
        told = [*recent, *latest, *asked]
        goal = self._goal + self._older(turns[:first], left)
        if window.of_text(goal) - window.of_text(self._goal) > left:  # words join badly here
            goal = self._goal
        return (*self._before, Message("user", goal), *told)

    # -- what is chosen once -----------------------------------------------------------------

    def _chosen_context(self, tokens: int) -> str:
        chosen: list[str] = []
        left = tokens - self._window.of_text(HELP)
        for piece in self._pieces:
            text = fenced(piece.source, piece.text)
            cost = self._window.of_text(text) + 2
            if cost <= left:  # a shorter one of less relevance may still fit
                chosen.append(text)
                left -= cost
        return HELP + "\n".join(chosen) if chosen else ""

    def _chosen_memory(self, tokens: int) -> list[Message]:
        chosen: list[Message] = []
        for entry in reversed(self._memory):
            message = Message(entry.role, entry.content)
            tokens -= self._window.of_message(message)
            if tokens < 0:
                break
            chosen.append(message)
        while chosen and chosen[-1].role != "user":  # a conversation begins with a question
            chosen.pop()
        return chosen[::-1]

    # -- what is chosen each turn ------------------------------------------------------------

    def _latest(self, turns: Sequence[Turn], left: int) -> list[Message]:
        """The last step, as fully as there is room; empty if it has to become a line."""
        if not turns:
            return []
        turn = turns[-1]
        for answers in (turn.fresh, turn.answers):
            told = turn.told(answers)
            if answers and self._window.of_messages(told) <= left * RECENT:
                return told
        told = turn.told(self._cut(turn, left))
        return told if self._window.of_messages(told) <= left else []

    def _cut(self, turn: Turn, left: int) -> list[Message]:
        """The answers of *turn* with as much of each output as fits into *left* tokens."""
        actions = turn.step.actions
        if not actions:
            return list(turn.answers)
        bare = [
            msgspec.structs.replace(answer, content=fenced(action.tool, ""))
            for action, answer in zip(actions, turn.answers, strict=True)
        ]
        share = (left - self._window.of_messages(turn.told(bare))) // len(bare) - MARGIN
        return [
            msgspec.structs.replace(
                answer, content=fenced(action.tool, self._window.cut(action.output, share))
            )
            for action, answer in zip(actions, turn.answers, strict=True)
        ]

    def _recent(
        self, turns: Sequence[Turn], left: int, *, has_latest: bool
    ) -> tuple[list[Message], int]:
        """Steps before the last one that are told in full, and where these begin."""
        last = len(turns) - has_latest
        first = min(self._compactor.split(len(turns)), last)
        told: list[Message] = []
        for place in range(last - 1, first - 1, -1):
            messages = turns[place].told(turns[place].answers)
            left -= self._window.of_messages(messages)
            if left < 0:
                return told, place + 1
            told[:0] = messages
        return told, first

    def _older(self, turns: Sequence[Turn], left: int) -> str:
        """The steps that are not told in full, in as many lines as there is room for."""
        lines = self._compactor.compact(turn.step for turn in turns)
        left -= self._window.of_text(SO_FAR + fenced(EARLIER, "")) + MARGIN
        costs = [self._window.of_text(line.text) + 2 for line in lines]
        kept: set[int] = set()
        for place in sorted(range(len(lines)), key=lambda at: _worth(lines[at], at), reverse=True):
            left -= costs[place]
            if left < 0:
                break
            kept.add(place)
        told = [line.text for place, line in enumerate(lines) if place in kept]
        if not told:
            return ""
        return SO_FAR + fenced(EARLIER, "\n".join(told))


def _worth(line: Line, place: int) -> tuple[bool, int]:
    return line.is_failure, place
