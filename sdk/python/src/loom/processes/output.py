"""What a child process prints, line by line into the log: bounded in length and in speed."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque

from loom_kernel import Clock

CHUNK = 8192
LONGEST_LINE = 8192
"""Bytes; what is longer becomes several lines."""
LAST = 5
"""Lines that are kept for whoever asks what was said before the end."""
_MARK = re.compile(r"<([0-7])>")
_LEVELS = {
    "2": logging.CRITICAL, "3": logging.ERROR, "4": logging.WARNING, "7": logging.DEBUG,
}  # fmt: skip


class Output:
    """Relays one stream at up to *rate* bytes a second.

    What comes faster waits with its writer: nothing piles up here, nothing is lost, and the
    runtime goes on.
    """

    def __init__(self, log: logging.Logger, clock: Clock, rate: int) -> None:
        self._log = log
        self._clock = clock
        self._rate = rate
        self._credit = float(rate)
        self._last = clock.monotonic()
        self.last: deque[str] = deque(maxlen=LAST)
        """The latest lines."""

    async def relay(self, stream: asyncio.StreamReader) -> None:
        """Log what *stream* says until it ends."""
        rest = b""
        while chunk := await stream.read(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._say(line)
            if len(rest) >= LONGEST_LINE:
                self._say(rest)
                rest = b""
            await self._pace(len(chunk))
        self._say(rest)

    def _say(self, line: bytes) -> None:
        for begin in range(0, len(line), LONGEST_LINE):
            text = line[begin : begin + LONGEST_LINE].decode("utf-8", "replace").rstrip()
            level = logging.INFO
            if mark := _MARK.match(text):
                level, text = _LEVELS.get(mark[1], logging.INFO), text[mark.end() :]
            if text := _printable(text):
                self.last.append(text)
                self._log.log(level, "%s", text)

    async def _pace(self, size: int) -> None:
        """Wait as long as *size* more bytes need; the others get their turn in any case."""
        now = self._clock.monotonic()
        earned = (now - self._last) * self._rate
        self._credit = min(self._credit + earned, float(self._rate)) - size
        self._last = now
        await self._clock.sleep(max(-self._credit / self._rate, 0.0))


def _printable(text: str) -> str:
    """*text* without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
