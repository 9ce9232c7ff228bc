"""Which steps are told in full, and how the older ones are: a line each, alike ones together.

What is told in full grows by *slack* steps before it is cut back, so that the beginning of a prompt
stays the same for some turns: models' caches live on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from loom.cognition.context.reducing import one_line
from loom.cognition.records import Action, ThoughtStep

SLACK = 2
MOST_LINES = 20
MOST_TOGETHER = 4
"""Lines of calls of one kind that stand next to each other before they become one."""
WIDTH = 300


class Line(msgspec.Struct, frozen=True):
    """An older step, or several alike."""

    text: str
    is_failure: bool = False
    """It is kept when others have to go: a model repeats a mistake that it does not see."""


class StepCompactor:
    """Keeps the latest steps in full and makes at most *max_lines* lines of the older ones."""

    def __init__(
        self, recent_window: int = 5, *, max_lines: int = MOST_LINES, slack: int = SLACK
    ) -> None:
        self._recent = recent_window
        self._most = max_lines
        self._slack = slack

    def split(self, count: int) -> int:
        """How many of *count* steps, from the first, are not told in full any more."""
        beyond = count - self._recent
        return beyond - beyond % (self._slack + 1) if beyond > 0 else 0

    def compact(self, steps: Iterable[ThoughtStep]) -> list[Line]:
        """The lines of *steps*, in their order. Failures are all kept, the newest of the others."""
        lines = list(self._grouped(steps))
        spare = max(self._most - sum(line.is_failure for line in lines), 0)
        successes = [place for place, line in enumerate(lines) if not line.is_failure]
        left_out = set(successes[: max(len(successes) - spare, 0)])
        return [line for place, line in enumerate(lines) if place not in left_out]

    def _grouped(self, steps: Iterable[ThoughtStep]) -> Iterator[Line]:
        for kind, group in groupby(_told(steps), key=lambda one: one[0]):
            texts = [text for _, text in group]
            if not kind or len(texts) < MOST_TOGETHER:
                yield from (Line(text, is_failure=not kind) for text in texts)
            else:
                yield Line(_together(kind, texts))


def _told(steps: Iterable[ThoughtStep]) -> Iterator[tuple[str, str]]:
    """The kind of each call (empty = it failed) and its line."""
    for step in steps:
        if step.notice:
            yield "", f"{step.number}. {step.notice}"
        for action in step.actions:
            yield _kind(action), f"{step.number}. {action.observation}"
        if not step.actions and not step.notice and step.thought:
            yield "thought", f"{step.number}. thought: {one_line(step.thought)}"


def _kind(action: Action) -> str:
    return action.tool.partition(":")[0] if action.success else ""


def _together(kind: str, texts: Sequence[str]) -> str:
    """Several calls of a kind in one line: the steps, how many, and the ends of what they did."""
    first, last = texts[0].partition(".")[0], texts[-1].partition(".")[0]
    did = "; ".join(one_line(text.partition(". ")[2], WIDTH // len(texts)) for text in texts)
    return one_line(f"{first}–{last}. {len(texts)} calls of {kind}: {did}", WIDTH)
