"""The files of the audit: segments of lines, the head of the chain, and the key that seals it."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from loom_kernel import LoomError, private_dir

from loom_plugin_audit.chain import GENESIS, Entry, Head, seal

HEAD, KEY = "head.json", "key"
SEGMENTS = "audit-*.jsonl"
_HEAD_SIZE = 256
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
_line = msgspec.json.Encoder(order="sorted").encode
_entry = msgspec.json.Decoder(Entry).decode


class AuditBroken(LoomError):
    """The audit cannot be gone on with: look with `loom audit verify`, then move it away."""


class Journal:
    """Appends entries. `record` may be called from several threads.

    After an error of the disk nothing more is recorded, and so nothing more is done that has to
    be: see `Audit.record`.
    """

    def __init__(self, folder: Path, now: Callable[[], float], *, segment: int) -> None:
        self._folder = private_dir(folder)
        self._now = now
        self._limit = segment
        self._lock = threading.Lock()
        self._failure = ""
        self._is_dirty = False
        self._key = read_key(folder)
        self._seq, self._hash = _end_of(folder)
        self._file = -1
        self._size = 0
        self._head = os.open(folder / HEAD, _FLAGS, 0o600)
        self._open_segment()
        self._write_head()

    @property
    def count(self) -> int:
        """How many entries there are."""
        return self._seq

    def record(self, event: str, who: str, what: str, **details: Any) -> None:
        """See `loom.contracts.Audit`."""
        with self._lock:
            if self._failure:
                raise AuditBroken(f"the audit takes nothing more: {self._failure}")
            entry = Entry(
                seq=self._seq + 1, time=self._now(), event=event, who=who, what=what,
                details=details, previous=self._hash,
            ).sealed()  # fmt: skip
            try:
                self._append(_line(entry) + b"\n")
                self._seq, self._hash = entry.seq, entry.hash
                self._write_head()
            except OSError as error:
                self._failure = f"{self._folder}: {error.strerror}"
                raise AuditBroken(f"the audit cannot be written: {self._failure}") from error

    def sync(self) -> None:
        """Put what was recorded on the disk. Blocks."""
        if self._is_dirty and not self._failure:
            self._is_dirty = False
            os.fdatasync(self._file)
            os.fdatasync(self._head)

    def close(self) -> None:
        with self._lock:
            self.sync()
            self._failure = self._failure or "it is closed"
            for descriptor in (self._file, self._head):
                os.close(descriptor)

    def _append(self, line: bytes) -> None:
        if self._size and self._size + len(line) > self._limit:
            os.fdatasync(self._file)
            os.close(self._file)
            self._open_segment(is_new=True)
        written = os.write(self._file, line)
        self._is_dirty = True
        self._size += written
        if written < len(line):
            os.ftruncate(self._file, self._size - written)
            raise OSError(28, "no space left on device")

    def _open_segment(self, *, is_new: bool = False) -> None:
        known = segments(self._folder)
        path = self._folder / f"audit-{self._seq + 1:012}.jsonl"
        if known and not is_new:
            path = known[-1]
        self._file = os.open(path, _FLAGS | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def _write_head(self) -> None:
        head = Head(self._seq, self._hash, seal(self._key, self._seq, self._hash))
        os.pwrite(self._head, msgspec.json.encode(head).ljust(_HEAD_SIZE), 0)


def segments(folder: Path) -> list[Path]:
    """The files of the audit in *folder*, the oldest first."""
    return sorted(folder.glob(SEGMENTS))


def entries(folder: Path) -> Iterator[Entry]:
    """All entries, in the order in which they stand there.

    Raises:
        AuditBroken: a line is none; the text says which.
    """
    for path in segments(folder):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield _entry(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise AuditBroken(f"{path.name}, line {number} is no entry: {error}") from None


def read_head(folder: Path) -> Head | None:
    """The head that was kept; None if there is none that can be read."""
    try:
        return msgspec.json.decode((folder / HEAD).read_bytes(), type=Head)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_key(folder: Path) -> bytes:
    """The key of this instance, made if need be."""
    path = folder / KEY
    try:
        return bytes.fromhex(path.read_text("ascii"))
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        descriptor = os.open(path, _FLAGS | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.hex())
        return key
    except ValueError as error:
        raise AuditBroken(f"{path} holds no key; move the folder away to begin anew") from error


def _end_of(folder: Path) -> tuple[int, str]:
    """Number and hash of the last entry; the torn line of a crash behind it is cut off."""
    known = segments(folder)
    if not known:
        return 0, GENESIS
    last = known[-1]
    text = last.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        os.truncate(last, len(whole))
    if not whole:
        earlier = [path for path in known[:-1] if path.stat().st_size]
        if not earlier:
            return 0, GENESIS
        whole = earlier[-1].read_bytes()
    line = whole[whole.rfind(b"\n", 0, -1) + 1 :]
    try:
        entry = _entry(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AuditBroken(
            f"the last line of {last} is no entry ({error}); see `loom audit verify`"
        ) from None
    return entry.seq, entry.hash
