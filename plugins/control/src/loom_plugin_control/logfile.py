"""The log of a background Loom: a file that stays small, and whose troubles stay its own."""

from __future__ import annotations

import io
import itertools
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

NAME = "loom.log"
LIMIT = 4 << 20
"""Bytes after which a new file is begun."""
KEPT = 2
"""Older files that are kept: `loom.log.1` is the younger one."""
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def open_log(file: Path) -> int:
    """A descriptor that appends to *file*, which only its owner may read.

    Raises:
        OSError: it cannot be opened, or is a link.
    """
    descriptor = os.open(file, _FLAGS, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


class LogFile(io.TextIOBase):
    """What standard output and error become in the background.

    Writing never fails: when the disk is full, what is written is lost, and the next line that
    can be written is preceded by one that says how much.
    """

    encoding = "utf-8"

    def __init__(self, file: Path, limit: int = LIMIT) -> None:
        self._file = file
        self._limit = limit
        self._lost = 0
        self._is_torn = False
        self._is_between_lines = True
        self._lock = threading.RLock()
        self._descriptor = open_log(file)
        self._descriptors: tuple[int, ...] = ()

    def become_standard(self) -> None:
        """Take over what this process prints, in Python or below."""
        self._descriptors = (1, 2)
        self._redirect()
        sys.stdout = sys.stderr = self

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        """Append *text*; return its length, whatever became of it."""
        with self._lock:
            try:
                if self._is_between_lines and os.fstat(self._descriptor).st_size >= self._limit:
                    self._rotate()
                self._is_between_lines = text.endswith("\n")
                self._append(text.encode("utf-8", "backslashreplace"))
            except OSError:
                self._lost += 1
        return len(text)

    def close(self) -> None:
        """End the file; what is written later is lost."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _append(self, line: bytes) -> None:
        if self._lost:
            notice = f"{self._lost} writes to the log were lost\n".encode()
            line = (b"\n" if self._is_torn else b"") + notice + line
        written = os.write(self._descriptor, line)
        self._is_torn = self._is_torn or 0 < written < len(line)
        if written < len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written")
        self._lost, self._is_torn = 0, False

    def _rotate(self) -> None:
        for target, source in itertools.pairwise(history(self._file)):
            if source.exists():
                source.replace(target)
        descriptor = open_log(self._file)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._redirect()

    def _redirect(self) -> None:
        for descriptor in self._descriptors:
            os.dup2(self._descriptor, descriptor)


def history(file: Path) -> list[Path]:
    """*file* and what preceded it, the oldest first; not all need be there."""
    return [*(file.with_name(f"{file.name}.{n}") for n in range(KEPT, 0, -1)), file]


def last_lines(lines: Iterable[str | None], count: int) -> list[str]:
    """The last *count* of *lines* up to the first pause."""
    found: deque[str] = deque(maxlen=count)
    for line in lines:
        if line is None:
            break
        found.append(line)
    return list(found)


def read_log(file: Path) -> Iterator[str | None]:
    """The lines of *file* and its history, the oldest first; None when there are no more yet.

    Whoever goes on after None is told what was written meanwhile, across new files.
    """
    for part in history(file)[:-1]:
        if part.is_file():
            with part.open(encoding="utf-8", errors="replace") as lines:
                yield from lines
    source = file.open(encoding="utf-8", errors="replace")
    partial = ""
    try:
        while True:
            text = source.read()
            if not text and _is_replaced(file, source):
                source.close()
                source = file.open(encoding="utf-8", errors="replace")
                continue
            *whole, partial = (partial + text).split("\n")
            yield from (f"{line}\n" for line in whole)
            if not text:
                yield None
    finally:
        source.close()


def _is_replaced(file: Path, source: io.TextIOWrapper) -> bool:
    try:
        return file.stat().st_ino != os.fstat(source.fileno()).st_ino
    except FileNotFoundError:
        return False  # between two files: look again
