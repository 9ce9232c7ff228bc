"""Touched paths that wait until nothing more happens to them."""

from __future__ import annotations

from typing import NamedTuple

from loom_plugin_files.changes import Touched


class _Wait(NamedTuple):
    due: float
    touched: Touched


class Pending:
    """Paths in the order in which they will have been quiet for *settle* seconds."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._waits: dict[str, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    @property
    def next_due(self) -> float | None:
        """When the first path is quiet, or None if none waits."""
        return next(iter(self._waits.values())).due if self._waits else None

    @property
    def paths(self) -> set[str]:
        return set(self._waits)

    def touch(self, hint: Touched, now: float) -> None:
        """Start the wait of the path anew, and with it that of the path it was renamed from."""
        before = self._waits.pop(hint.relative, None)
        if before is not None:
            hint = Touched(
                hint.relative,
                hint.is_directory or before.touched.is_directory,
                hint.source or before.touched.source,
            )
        due = now + self._settle
        # Both ends of a rename are looked at together, or it would read as two things.
        if (old := self._waits.pop(hint.source, None)) is not None:
            self._waits[hint.source] = _Wait(due, old.touched)
        self._waits[hint.relative] = _Wait(due, hint)

    def take(self, now: float) -> list[Touched]:
        """Remove and return what has been quiet long enough."""
        taken: list[Touched] = []
        while (due := self.next_due) is not None and due <= now:
            taken.append(self._waits.pop(next(iter(self._waits))).touched)
        return taken

    def clear(self) -> None:
        self._waits.clear()
