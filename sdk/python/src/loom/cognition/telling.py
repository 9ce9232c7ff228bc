"""Sorting what a model says as it comes: the answer's text, and what comes before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from loom.cognition.prompts import FINAL
from loom.contracts import ThinkingDelta

Sorted = str | ThinkingDelta


class Teller:
    """Sorts deltas of one turn. With *before* None all text is the answer's.

    Else what comes before `FINAL ANSWER:` is `hidden` (it may be a call) or `thinking`.
    """

    def __init__(self, before: Literal["hidden", "thinking"] | None) -> None:
        self._before = before
        self._is_final = before is None
        self._held = ""
        self.has_told = False
        """Whether any text of the answer was told."""

    def feed(self, text: str) -> Iterator[Sorted]:
        """What can be told now that *text* came."""
        if self._is_final:
            yield from self._answer(text)
            return
        held = self._held + text
        before, mark, after = held.partition(FINAL)
        if mark:
            self._is_final, self._held = True, ""
            yield from self._other(before)
            yield from self._answer(after.lstrip())
            return
        safe = max(len(held) - len(FINAL) + 1, 0)  # the rest may be the beginning of the mark
        self._held = held[safe:]
        yield from self._other(held[:safe])

    def end(self) -> Iterator[Sorted]:
        """What was held back when nothing more comes."""
        held, self._held = self._held, ""
        yield from self._other(held)

    def _answer(self, text: str) -> Iterator[Sorted]:
        if text:
            self.has_told = True
            yield text

    def _other(self, text: str) -> Iterator[Sorted]:
        if text and self._before == "thinking":
            yield ThinkingDelta(text)
