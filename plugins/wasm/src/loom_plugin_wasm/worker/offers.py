"""The functions that a guest may be given: whatever they are handed is checked."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress

from loom_plugin_wasm.worker.frames import send

MOST_LINES = 64
"""Lines that one call may log; the rest is left out."""
LONGEST_LINE = 2048
"""Characters."""

LONGEST_NEWS = 500
"""Characters of what is said with one step of progress."""
NEWS_RATE = 50.0
"""Steps of progress a second, and as many at once after a rest; of more, some are left out."""

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
        self._credit = NEWS_RATE
        self._last = moment()

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

    def progress(self, done: float, total: float, message: str) -> None:
        """Tell whoever listens how far the call has come."""
        now = moment()
        self._credit = min(self._credit + (now - self._last) * NEWS_RATE, NEWS_RATE)
        self._last = now
        if self._credit >= 1.0 and math.isfinite(done) and math.isfinite(total):
            self._credit -= 1.0
            news = {"code": "progress", "done": done, "total": total}
            send({**news, "reason": message[:LONGEST_NEWS]})

    def now(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def random(self) -> int:
        """64 random bits, signed."""
        return int.from_bytes(os.urandom(8), "big", signed=True)

    def config(self, key: str) -> str:
        """What the owner wrote under *key*; empty = nothing."""
        return self._config.get(key, "")
