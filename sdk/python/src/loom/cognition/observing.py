"""What becomes of a call's outcome: a line, an output that the model reads, a long one put aside.

A long output is told as fully as it may be in the turn that follows. From then on its beginning
stands for it, with a reference by which the model reads parts of it: `context:read`.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import msgspec
from loom_kernel import current, private_dir

from loom.capabilities import Capability
from loom.cognition.context import DataOffloader, Offloaded, OutputGone, StepReducer
from loom.cognition.context.offloading import count_lines, preview
from loom.cognition.hands import Local, Outcome, carry
from loom.cognition.records import Action
from loom.contracts import ToolError, ToolHints

READ = "context:read"
FRESH = 16_000
"""Characters of a long output that are told in the turn after it."""
OF_REFERENCE = 16
OF_LINE = 1_000
"""Characters after which a line counts as two."""
MOST_READ = 8_000
"""Characters of one reading."""
MOST_KNOWN = 1_000
"""Outputs that can be read at the same time."""


class Observed(msgspec.Struct, frozen=True):
    """An outcome as a step has it, and its output as long as it may be."""

    action: Action
    fresh: str


class Shelf:
    """The long outputs of one agent: put aside with their labels, and read in parts."""

    def __init__(self, offloader: DataOffloader, root: Path, log: logging.Logger) -> None:
        self._offloader = offloader
        self._root = root
        self._log = log
        self._known: dict[str, tuple[str, frozenset[str]]] = {}
        self._is_tidy = False
        hints = ToolHints(read_only=True, idempotent=True)
        self.tool = Local(Capability(self._read, READ, "1.0", hints))
        """`context:read`, for the model."""

    @property
    def is_used(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._known)

    async def put(self, text: str) -> Offloaded | None:
        """Put *text* aside; None if the disk does not take it."""
        try:
            kept = await asyncio.to_thread(self._put, text)
        except OSError as error:
            self._log.warning("a long output is not kept: %s", error)
            return None
        cause = current.get()
        reference = kept.reference[:OF_REFERENCE]
        self._known.pop(reference, None)
        self._known[reference] = kept.reference, cause.labels if cause else frozenset()
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return msgspec.structs.replace(kept, reference=reference)

    def _put(self, text: str) -> Offloaded:
        if not self._is_tidy:
            if not self._root.is_dir():
                private_dir(self._root)
            self._offloader.cleanup()
            self._is_tidy = True
        return self._offloader.offload(text)

    def begin(self) -> None:
        """A run begins: what is too old goes when the next output comes."""
        self._is_tidy = False

    async def _read(
        self,
        reference: str,
        start: Annotated[int, msgspec.Meta(ge=1)] = 1,
        lines: Annotated[int, msgspec.Meta(ge=1, le=400)] = 100,
        find: str = "",
    ) -> str:
        """Read part of a long output: lines from `start` on, or those that contain `find`."""
        name, labels = self._known.get(reference, ("", frozenset[str]()))
        if not name:
            raise ToolError(READ, "INVALID_PARAMS", f"there is no output {reference[:40]!r}")
        try:
            text = await asyncio.to_thread(self._offloader.retrieve, name)
        except OutputGone as error:
            raise ToolError(READ, "ACTION_ERROR", str(error)) from error
        carry(labels)
        return _part(text, start, lines, find)


class Observer:
    """Makes of each outcome what the model is told, now and later."""

    def __init__(self, reducer: StepReducer, offloader: DataOffloader, shelf: Shelf | None) -> None:
        self.shelf = shelf
        self._reducer = reducer
        self._offloader = offloader

    async def observe(self, outcome: Outcome) -> Observed:
        """See `Observed`. What is long goes to the shelf, if there is one."""
        use, text = outcome.use, outcome.text
        shown, reference, fresh = text, "", text
        if use.name == READ:
            shown = preview(text)
        elif self.shelf is not None and self._offloader.is_long(text):
            kept = await self.shelf.put(text)
            reference = kept.reference if kept else ""
            shown = _with_note(preview(text), text, reference)
            fresh = _with_note(text[:FRESH], text, reference) if len(text) > FRESH else text
        line = self._reducer.reduce(
            use.name, use.arguments, outcome.output, outcome.text if outcome.error else ""
        )
        action = Action(
            id=use.id, tool=use.name, arguments=use.arguments, observation=line, output=shown,
            reference=reference, success=not outcome.error, error=outcome.error,
            latency_ms=outcome.latency_ms,
        )  # fmt: skip
        return Observed(action, fresh)


def _with_note(beginning: str, text: str, reference: str) -> str:
    how = f'{READ} with reference "{reference}" reads more' if reference else "the rest is gone"
    return f"{beginning}\n[beginning of {count_lines(text)} lines, {len(text)} characters; {how}]"


def _part(text: str, start: int, lines: int, find: str) -> str:
    """Numbered lines of *text*. A very long line counts as several, so that all can be read."""
    pieces: list[str] = []
    for line in text.split("\n"):
        pieces += [line[at : at + OF_LINE] for at in range(0, len(line), OF_LINE)] or [""]
    numbered = list(enumerate(pieces, 1))[start - 1 :]
    if find:
        numbered = [(number, line) for number, line in numbered if find.lower() in line.lower()]
    told: list[str] = []
    room = MOST_READ
    for number, line in numbered[:lines]:
        room -= len(line) + 8
        if room < 0:
            break
        told.append(f"{number}: {line}")
    left = len(numbered) - len(told)
    end = f"[{left} more of {len(pieces)} lines]" if left else f"[end; {len(pieces)} lines]"
    return "\n".join([*told, end])
