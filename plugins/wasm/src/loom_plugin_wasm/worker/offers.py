"""The functions that a guest may be given: whatever they are handed is checked."""

from __future__ import annotations

import os
import time
from contextlib import suppress

MOST_LINES = 64
"""Lines that one call may log; the rest is left out."""
LONGEST_LINE = 2048
"""Characters."""

ERRORS = 2


def say(line: str) -> None:
    """Write *line* to the runtime's log; while that takes no more, it is left out."""
    with suppress(BlockingIOError):
        os.write(ERRORS, f"{line}\n".encode("utf-8", "replace"))


def moment() -> float:
    """Seconds on a clock that only goes on."""
    return time.monotonic()


class Offers:
    """One worker's host functions, independent of the engine."""

    def __init__(self, config: dict[str, str]) -> None:
        self._config = config
        self._lines = 0

    def begin(self) -> None:
        """A new call: it may log again."""
        self._lines = 0

    def log(self, text: str) -> None:
        """Write a line to the runtime's log."""
        self._lines += 1
        if self._lines <= MOST_LINES:
            line = text[:LONGEST_LINE].replace("\n", " ")
        elif self._lines == MOST_LINES + 1:
            line = f"it logs more than {MOST_LINES} lines in a call; the rest is left out"
        else:
            return
        say(line)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def random(self) -> int:
        """64 random bits, signed."""
        return int.from_bytes(os.urandom(8), "big", signed=True)

    def config(self, key: str) -> str:
        """What the owner wrote under *key*; empty = nothing."""
        return self._config.get(key, "")
