"""The driver `sqlite`: one file in WAL mode, one connection that writes, one that reads.

SQLite keeps a commit through a power cut with `synchronous=FULL`, and through the end of the
process with `NORMAL` (https://www.sqlite.org/pragma.html#pragma_synchronous). It has no checksums
of its own: records and values carry theirs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import msgspec
from loom_kernel import LoomError, private_dir

from loom_plugin_journal.ballast import Ballast
from loom_plugin_journal.failures import code, meaning
from loom_plugin_journal.head import Head
from loom_plugin_journal.proof import (
    SEGMENT,
    Segment,
    beyond,
    crc_of,
    range_of,
    rows_of,
    segments_of,
    value_of,
    values_of,
    verify,
    walk,
)
from loom_plugin_journal.records import (
    START,
    Append,
    Batch,
    JournalDamaged,
    Receipt,
    Record,
    Space,
    checksum,
    encode,
    link,
)

FILE = "journal.db"
FORMAT = 1
SEGMENTS = 8
"""Segments that are removed at once."""
CHECKPOINT = 16 << 20
"""Bytes of the write-ahead log after which it is written back into the file."""
COMMIT = 12 << 10
"""Bytes of it that a commit takes beside the bodies, roughly."""
READ = (
    "SELECT sequence, topic, body, crc FROM record WHERE sequence BETWEEN ? AND ? ORDER BY sequence"
)
FLUSHED = ("meta", "flushed")
"""Where the number of flushed commits is kept."""
TABLES = """
CREATE TABLE record (sequence INTEGER PRIMARY KEY, topic TEXT NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL, link BLOB NOT NULL);
CREATE TABLE value (space TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;
"""


Tail = Segment
"""The newest record and its link."""


class SqliteStore:
    """See `Store`. *ballast* and *checkpoint* are bytes.

    Raises:
        LoomError: another process has it, or it was written by a newer Loom; nothing is changed.
        JournalDamaged: the newest records are not what was written.
        OSError: the disk cannot be read or written.
    """

    def __init__(
        self, folder: Path, *, ballast: int = 16 << 20, checkpoint: int = CHECKPOINT
    ) -> None:
        private_dir(folder)
        self._path = folder / FILE
        self._ballast = Ballast(folder / "ballast", ballast)
        self._limit = checkpoint
        self._guard = _lock(folder / "journal.lock")
        self._reading = threading.Lock()
        self.first = 0
        self._tail = Tail(0, START)
        self._flushed = 0
        """Commits that are certain to be on the disk."""
        self._pending = 0
        self._damage = ""
        """Why nothing is written any more, until somebody has looked."""
        self._head: Head | None = None
        try:
            self._start(folder)
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> int:
        """See `Store`."""
        return self._tail.last

    @property
    def is_full(self) -> bool:
        """See `Store`."""
        return self._ballast.is_released

    # -- opening -----------------------------------------------------------------------------

    def _start(self, folder: Path) -> None:
        self._head = Head(folder / "head")
        try:
            self._tail = self._open()
        except OSError:  # it may be full: with the ballast gone there is room to say so
            if not self._ballast.is_needed():
                raise
            self._tail = self._open()
        if self._flushed < self._head.value:
            raise JournalDamaged(
                f"{self._path} has lost its newest {self._head.value - self._flushed} commits, "
                f"after record {self.last}; if you put an older copy there, remove "
                f"{self._head.path} to go on from it"
            )
        self._ballast.reserve()
        # A process that was killed has left its write-ahead log: if none lives long enough to write
        # it back, it would grow for ever.
        self._checkpoint(_size(self._path.with_name(f"{FILE}-wal")))

    def _open(self) -> Tail:
        is_new = not self._path.exists()
        if is_new:
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._writer = _connect(self._path)
        try:
            tail = self._begin(is_new)
            self._reader = _connect(self._path)
        except sqlite3.Error as error:
            raise meaning(error, f"{self._path} cannot be read: {error}") from error
        return tail

    def _begin(self, is_new: bool) -> Tail:
        writer = self._writer
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise LoomError(
                f"{self._path} was written by a newer Loom (format {version}, this one reads "
                f"{FORMAT}); use that, or move the folder away to begin anew"
            )
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute(f"PRAGMA journal_size_limit={self._limit}")
        writer.execute("PRAGMA synchronous=FULL")
        if is_new or version == 0:
            writer.executescript(f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version={FORMAT};COMMIT;")
        flushed = value_of(writer, *FLUSHED)
        self._flushed = 0 if flushed is None else msgspec.msgpack.decode(flushed, type=int)
        return self._find_tail()

    def _find_tail(self) -> Tail:
        """Read the newest segment, which is where an end without order leaves its traces."""
        first, last = range_of(self._writer)
        noted = segments_of(self._writer)
        known = [segment for segment in noted if segment.last <= last] or [Segment(0, START)]
        if noted and noted[-1].last > last:
            raise JournalDamaged(f"records {last + 1} to {noted[-1].last} are missing")
        anchor = known[-1]
        if first > anchor.last + 1:
            raise JournalDamaged(f"records {anchor.last + 1} to {first - 1} are missing")
        found = walk(self._writer, anchor, last)
        self.first = first or last + 1
        return Tail(last, found)

    def reserve(self) -> bool:
        """See `Store`."""
        return self._ballast.reserve()

    # -- writing -----------------------------------------------------------------------------

    def commit(self, batch: Batch) -> list[Receipt]:
        if self._damage:
            raise JournalDamaged(self._damage)
        receipts: list[Receipt] = []
        tail, flushed = None, self._flushed + batch.is_flushed
        try:
            self._writer.execute(f"PRAGMA synchronous={'FULL' if batch.is_flushed else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            receipts, tail = self._append(batch.appends)
            for space, prefix in batch.removals:
                self._writer.execute(
                    "DELETE FROM value WHERE space = ? AND key >= ? AND key < ?",
                    (space, prefix, beyond(prefix)),
                )
            self._put(batch.values)
            if batch.is_flushed:
                self._put({FLUSHED: encode(flushed)})
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(error, tail)
        self._tail, self._flushed = tail or self._tail, flushed
        if batch.is_flushed and self._head is not None:
            self._head.note(flushed)
        self._checkpoint(sum(len(append.body) for append in batch.appends))
        return receipts

    def _append(self, appends: Iterable[Append]) -> tuple[list[Receipt], Tail]:
        receipts: list[Receipt] = []
        rows, links = [], []
        before, sequence = self._tail.link, self.last
        for append in appends:
            if append.key and (known := self._known(append, sequence + 1)):
                receipts.append(Receipt(known, is_duplicate=True))
                continue
            sequence += 1
            before = link(before, sequence, append.topic, append.body)
            crc = checksum(sequence, append.topic, append.body)
            rows.append((sequence, append.topic, append.body, crc, before))
            receipts.append(Receipt(sequence))
            if sequence % SEGMENT == 0:
                links.append(Segment(sequence, before))
        self._writer.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
        self._put({("segment", f"{s.last:020d}"): encode(s) for s in links})
        return receipts, Tail(sequence, before)

    def _known(self, append: Append, sequence: int) -> int:
        """The sequence that was given for this key before; else it is given *sequence*."""
        found = value_of(self._writer, append.space, append.key)
        if found is not None:
            return int(msgspec.msgpack.decode(found)[0])
        self._put({(append.space, append.key): encode([sequence, append.time])})
        return 0

    def _put(self, values: dict[tuple[Space, str], bytes | None]) -> None:
        rows = [
            (space, key, data, crc_of(space, key, data))
            for (space, key), data in values.items()
            if data is not None
        ]
        if rows:
            self._writer.executemany("INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?)", rows)
        gone = [name for name, data in values.items() if data is None]
        if gone:
            self._writer.executemany("DELETE FROM value WHERE space = ? AND key = ?", gone)

    # -- when the disk fails -----------------------------------------------------------------

    def _undo(self, error: sqlite3.Error, wanted: Tail | None) -> None:
        """Take back what was begun and raise what *error* means; return if it is written after all.

        After a failed flush nobody knows what is on the disk: the file is opened anew, and only
        what can be read there, and be flushed again, counts as written.
        """
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")
        if code(error) == sqlite3.SQLITE_FULL:
            self._make_room()
            raise OSError(errno.ENOSPC, "the disk is full") from error
        self._ballast.is_needed()
        before = self._tail
        self._reopen()
        if wanted == before or self._tail != wanted:
            raise OSError(errno.EIO, str(error)) from error

    def _make_room(self) -> None:
        """Let the ballast go; with it there is room to write the write-ahead log back."""
        self._ballast.release()
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _reopen(self) -> None:
        """Open the file anew, and flush what is there through another file than before.

        Raises:
            OSError: it cannot be.
            JournalDamaged: it has not what was flushed before; nothing is written any more.
        """
        before = self._tail
        with self._reading:
            for connection in (self._writer, self._reader):
                with suppress(sqlite3.Error):
                    connection.close()
            found = self._open()
            try:
                is_busy = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                raise meaning(error, str(error)) from error
        if is_busy:
            raise OSError(errno.EBUSY, "the write-ahead log is in use")
        if found.last < before.last or (found.last == before.last and found.link != before.link):
            self._damage = f"the disk lost records {found.last + 1} to {before.last}"
            raise JournalDamaged(self._damage)
        self._tail = found

    def _checkpoint(self, size: int) -> None:
        """Write the write-ahead log back now and then; a full disk or a reader may put it off."""
        self._pending += size + COMMIT
        if self._pending <= self._limit:
            return
        self._pending = 0
        try:
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            if code(error) == sqlite3.SQLITE_FULL:
                self._ballast.release()
                return
            with suppress(OSError):  # else the next commit opens it, or fails
                self._reopen()

    # -- reading -----------------------------------------------------------------------------

    def read(self, first: int, limit: int) -> list[Record]:
        with self._reading:
            first = max(first, self.first)
            last = min(first + limit - 1, self.last)
            try:
                found = self._reader.execute(READ, (first, last)).fetchall()
            except sqlite3.Error as error:
                text = f"records {first} to {last} cannot be read: {error}"
                raise meaning(error, text) from error
            records: list[Record] = []
            expected = first
            try:
                for sequence, topic, body, crc in found:
                    seed = crc32(topic.encode(), sequence & 0xFFFFFFFF)
                    if sequence != expected or crc32(body, seed) != crc:
                        break
                    records.append(Record(sequence, topic, body))
                    expected += 1
            except (AttributeError, TypeError):  # not even a text and bytes
                expected = -1
            if expected != last + 1 and last >= first:
                rows_of(self._reader, first, last)  # it names what is wrong
        return records

    def get(self, space: Space, key: str) -> bytes | None:
        try:
            with self._reading:
                return value_of(self._reader, space, key)
        except sqlite3.Error as error:
            raise meaning(error, f"the {space} {key!r} cannot be read: {error}") from error

    def scan(
        self, space: Space, prefix: str = "", *, after: str = "", limit: int = -1
    ) -> list[tuple[str, bytes]]:
        try:
            with self._reading:
                return values_of(self._reader, space, prefix, after=after, limit=limit)
        except sqlite3.Error as error:
            raise meaning(error, f"values of {space} cannot be read: {error}") from error

    # -- keeping -----------------------------------------------------------------------------

    def verify(self) -> int:
        connection = _connect(self._path)
        try:
            return verify(connection, self.last)
        except sqlite3.Error as error:
            raise meaning(error, f"{self._path} cannot be read: {error}") from error
        finally:
            connection.close()

    def snapshot(self, target: Path) -> None:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = _connect(self._path)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        except sqlite3.Error as error:
            target.unlink(missing_ok=True)
            raise OSError(errno.EIO, f"{target}: {error}") from error
        finally:
            connection.close()

    def trim(self, before: int) -> int:
        """See `Store`; the link before the oldest record stays, so that the chain can be read."""
        ends = [s for s in segments_of(self._writer) if s.last < before and s.last >= self.first]
        if not ends:
            return 0
        writer, last = self._writer, ends[:SEGMENTS][-1].last
        count = last - self.first + 1
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM record WHERE sequence <= ?", (last,))
            writer.execute(
                "DELETE FROM value WHERE space = 'segment' AND key < ?", (f"{last:020d}",)
            )
            with self._reading:  # who reads from the first on finds it
                writer.execute("COMMIT")
                self.first = last + 1
        except sqlite3.Error as error:
            self._undo(error, None)
        self._checkpoint(count * COMMIT)
        return count

    def close(self) -> None:
        for name in ("_reader", "_writer"):
            connection = getattr(self, name, None)
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        if self._head is not None:
            self._head.close()
        os.close(self._guard)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)


def _lock(path: Path) -> int:
    """Hold the journal; the operating system lets go of it however this process ends."""
    guard = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(guard)
        raise LoomError(f"another process keeps the journal {path.parent}; stop it first") from None
    return guard
