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
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import msgspec
from loom_kernel import LoomError, private_dir

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
SEGMENT = 4096
"""Records after which the chain's link is noted, so that older ones can be removed."""
CHECKPOINT = 16 << 20
"""Bytes of the write-ahead log after which it is written back into the file."""
COMMIT = 12 << 10
"""Bytes of it that a commit takes beside the bodies, roughly."""
TABLES = """
CREATE TABLE record (sequence INTEGER PRIMARY KEY, topic TEXT NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL, link BLOB NOT NULL);
CREATE TABLE value (space TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;
"""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A link of the chain: that of the record *last*."""

    last: int
    link: bytes


class SqliteStore:
    """See `Store`.

    Raises:
        LoomError: another process has it, or it was written by a newer Loom; nothing is changed.
        JournalDamaged: the newest records are not what was written.
    """

    def __init__(self, folder: Path, *, ballast: int = 16 << 20) -> None:
        private_dir(folder)
        self._path = folder / FILE
        self._ballast = folder / "ballast"
        self._ballast_size = ballast
        self._guard = _lock(folder / "journal.lock")
        self._reading = threading.Lock()
        self.first = self.last = 0
        self._link = START
        self._pending = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    # -- opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        is_new = not self._path.exists()
        if is_new:
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._writer = _connect(self._path)
        try:
            self._begin(is_new)
        except sqlite3.DatabaseError as error:
            raise JournalDamaged(f"{self._path} cannot be read: {error}") from error
        self._reader = _connect(self._path)
        self._reserve()

    def _begin(self, is_new: bool) -> None:
        writer = self._writer
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise LoomError(
                f"{self._path} was written by a newer Loom (format {version}, this one reads "
                f"{FORMAT}); use that, or move the folder away to begin anew"
            )
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("PRAGMA synchronous=FULL")
        if is_new or version == 0:
            writer.executescript(f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version={FORMAT};COMMIT;")
        self._find_tail()

    def _find_tail(self) -> None:
        """Read the newest segment, which is where an end without order leaves its traces."""
        first, last = self._writer.execute(
            "SELECT coalesce(min(sequence), 0), coalesce(max(sequence), 0) FROM record"
        ).fetchone()
        noted = self._segments(self._writer)
        known = [segment for segment in noted if segment.last <= last] or [Segment(0, START)]
        if noted and noted[-1].last > last:
            raise JournalDamaged(f"records {last + 1} to {noted[-1].last} are missing")
        anchor = known[-1]
        if first > anchor.last + 1:
            raise JournalDamaged(f"records {anchor.last + 1} to {first - 1} are missing")
        self._link = self._walk(self._writer, anchor, last)
        self.last = last
        self.first = first or last + 1

    def _segments(self, connection: sqlite3.Connection) -> list[Segment]:
        rows = self._values(connection, "segment", "")
        return [msgspec.msgpack.decode(data, type=Segment) for _, data in rows]

    def _reserve(self) -> None:
        """Keep some room for the day on which the disk is full."""
        with suppress(OSError), open(self._ballast, "ab", opener=_private) as file:
            if file.tell() < self._ballast_size:
                os.posix_fallocate(file.fileno(), 0, self._ballast_size)

    # -- writing -----------------------------------------------------------------------------

    def commit(self, batch: Batch) -> list[Receipt]:
        writer = self._writer
        receipts: list[Receipt] = []
        link_now, last = self._link, self.last
        try:
            writer.execute(f"PRAGMA synchronous={'FULL' if batch.is_flushed else 'NORMAL'}")
            writer.execute("BEGIN IMMEDIATE")
            receipts, link_now, last = self._append(batch.appends)
            for space, prefix in batch.removals:
                writer.execute(
                    "DELETE FROM value WHERE space = ? AND key >= ? AND key < ?",
                    (space, prefix, _after(prefix)),
                )
            self._put(batch.values)
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)
        self.last, self._link = last, link_now
        self._checkpoint(sum(len(append.body) for append in batch.appends))
        return receipts

    def _append(self, appends: Iterable[Append]) -> tuple[list[Receipt], bytes, int]:
        receipts: list[Receipt] = []
        rows, links = [], []
        before, sequence = self._link, self.last
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
        return receipts, before, sequence

    def _known(self, append: Append, sequence: int) -> int:
        """The sequence that was given for this key before; else it is given *sequence*."""
        found = self._value(self._writer, append.space, append.key)
        if found is not None:
            return int(msgspec.msgpack.decode(found)[0])
        self._put({(append.space, append.key): encode([sequence, append.time])})
        return 0

    def _put(self, values: dict[tuple[Space, str], bytes | None]) -> None:
        rows = [
            (space, key, data, _crc(space, key, data))
            for (space, key), data in values.items()
            if data is not None
        ]
        if rows:
            self._writer.executemany("INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?)", rows)
        gone = [name for name, data in values.items() if data is None]
        if gone:
            self._writer.executemany("DELETE FROM value WHERE space = ? AND key = ?", gone)

    def _give_up(self, error: sqlite3.Error) -> None:
        """Undo what was begun, and raise *error* as what it means.

        After a failed flush nobody knows what is on the disk: the file is opened anew, so that
        only what can be read there counts as written.
        """
        with suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")
        if "disk is full" in str(error):
            self._ballast.unlink(missing_ok=True)
            raise OSError(errno.ENOSPC, "the disk is full") from error
        self._reopen()
        raise OSError(errno.EIO, str(error)) from error

    def _reopen(self) -> None:
        known, known_link = self.last, self._link
        for connection in (self._writer, self._reader):
            with suppress(sqlite3.Error):
                connection.close()
        self._open()
        if (self.last, self._link) != (known, known_link):
            raise JournalDamaged(f"the disk lost records: {known} were written, {self.last} are")

    def _checkpoint(self, size: int) -> None:
        """Write the write-ahead log back now and then; a full disk or a reader may put it off."""
        self._pending += size + COMMIT
        if self._pending > CHECKPOINT:
            self._pending = 0
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    # -- reading -----------------------------------------------------------------------------

    def read(self, first: int, limit: int) -> list[Record]:
        first = max(first, self.first)
        with self._reading:
            rows = self._rows(self._reader, first, min(first + limit - 1, self.last))
        return [Record(sequence, topic, body) for sequence, topic, body, _ in rows]

    def _rows(
        self, connection: sqlite3.Connection, first: int, last: int
    ) -> list[tuple[int, str, bytes, bytes]]:
        """The records from *first* to *last*, all of them, each as it was written."""
        try:
            found = connection.execute(
                "SELECT sequence, topic, body, crc, link FROM record "
                "WHERE sequence BETWEEN ? AND ? ORDER BY sequence",
                (first, last),
            ).fetchall()
        except sqlite3.Error as error:
            raise JournalDamaged(f"records {first} to {last} cannot be read: {error}") from error
        rows = []
        expected = first
        for sequence, topic, body, crc, own in found:
            if sequence != expected:
                raise JournalDamaged(f"records {expected} to {sequence - 1} are missing")
            if not _is_whole(sequence, topic, body, crc):
                raise JournalDamaged(f"record {sequence} is not what was written")
            rows.append((sequence, topic, body, own))
            expected += 1
        if expected <= last:
            raise JournalDamaged(f"records {expected} to {last} are missing")
        return rows

    def _walk(self, connection: sqlite3.Connection, anchor: Segment, last: int) -> bytes:
        """Follow the chain from *anchor* to record *last*; the link there."""
        before = anchor.link
        for start in range(anchor.last + 1, last + 1, SEGMENT):
            end = min(start + SEGMENT - 1, last)
            for sequence, topic, body, own in self._rows(connection, start, end):
                before = link(before, sequence, topic, body)
                if before != own:
                    raise JournalDamaged(f"record {sequence} does not follow those before it")
        return before

    def get(self, space: Space, key: str) -> bytes | None:
        with self._reading:
            return self._value(self._reader, space, key)

    def scan(
        self, space: Space, prefix: str = "", *, after: str = "", limit: int = -1
    ) -> list[tuple[str, bytes]]:
        with self._reading:
            return self._values(self._reader, space, prefix, after=after, limit=limit)

    def _value(self, connection: sqlite3.Connection, space: Space, key: str) -> bytes | None:
        row = connection.execute(
            "SELECT data, crc FROM value WHERE space = ? AND key = ?", (space, key)
        ).fetchone()
        return None if row is None else _whole(space, key, *row)

    def _values(
        self,
        connection: sqlite3.Connection,
        space: Space,
        prefix: str,
        *,
        after: str = "",
        limit: int = -1,
    ) -> list[tuple[str, bytes]]:
        rows = connection.execute(
            "SELECT key, data, crc FROM value WHERE space = ? AND key >= ? AND key < ? "
            "AND (key > ? OR ? = '') ORDER BY key LIMIT ?",
            (space, max(prefix, after), _after(prefix), after, after, limit),
        ).fetchall()
        return [(key, _whole(space, key, data, crc)) for key, data, crc in rows]

    # -- keeping -----------------------------------------------------------------------------

    def verify(self) -> int:
        connection = _connect(self._path)
        try:
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise JournalDamaged(f"{self._path}: {problem}")
            first, last = self.first, self.last
            segments = self._segments(connection)
            anchor = next((s for s in segments if s.last == first - 1), Segment(0, START))
            for before, after in pairwise([anchor, *(s for s in segments if s.last >= first)]):
                if self._walk(connection, before, after.last) != after.link:
                    raise JournalDamaged(f"records up to {after.last} are not the noted ones")
            newest = segments[-1] if segments and segments[-1].last >= first else anchor
            self._walk(connection, newest, last)
            for space in [row[0] for row in connection.execute("SELECT DISTINCT space FROM value")]:
                self._values(connection, space, "")
        except sqlite3.Error as error:
            raise JournalDamaged(f"{self._path} cannot be read: {error}") from error
        finally:
            connection.close()
        return last - first + 1

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
        ends = [s for s in self._segments(self._writer) if s.last < before and s.last >= self.first]
        if not ends:
            return 0
        writer, last = self._writer, ends[-1].last
        count = last - self.first + 1
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM record WHERE sequence <= ?", (last,))
            writer.execute(
                "DELETE FROM value WHERE space = 'segment' AND key < ?", (f"{last:020d}",)
            )
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)
        self.first = last + 1
        self._reserve()
        return count

    def close(self) -> None:
        for name in ("_reader", "_writer"):
            connection = getattr(self, name, None)
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        os.close(self._guard)


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


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _after(prefix: str) -> str:
    """What follows every text that begins with *prefix*."""
    return prefix + "\U0010ffff"


def _crc(space: Space, key: str, data: bytes) -> int:
    return crc32(data, crc32(f"{space}\0{key}".encode()))


def _whole(space: Space, key: str, data: bytes, crc: int) -> bytes:
    if not isinstance(data, bytes) or _crc(space, key, data) != crc:
        raise JournalDamaged(f"the {space} {key!r} is not what was written")
    return data


def _is_whole(sequence: int, topic: str, body: bytes, crc: int) -> bool:
    return (
        isinstance(body, bytes)
        and isinstance(topic, str)
        and checksum(sequence, topic, body) == crc
    )
