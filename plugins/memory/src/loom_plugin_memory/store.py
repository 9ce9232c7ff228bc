"""The file `memory.db`: its tables, its transactions, and who may open it.

One connection, used by one thread. `synchronous=FULL`: what a call has answered is still there
after a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loom_kernel import LoomError, private_dir

FILE = "memory.db"
FORMAT = 1
TABLES = """
CREATE TABLE session (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL,
    name TEXT NOT NULL, duplicates INTEGER NOT NULL DEFAULT 0,
    labels BLOB NOT NULL DEFAULT '[]', UNIQUE (owner, name));
CREATE TABLE plan (id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL,
    hash TEXT NOT NULL, subject TEXT NOT NULL, action TEXT NOT NULL, time REAL NOT NULL,
    body BLOB NOT NULL, UNIQUE (session, hash));
CREATE INDEX plan_time ON plan (session, time, id);
CREATE TABLE execution (id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL,
    hash TEXT NOT NULL, subject TEXT NOT NULL, status TEXT NOT NULL, time REAL NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX execution_time ON execution (session, time, id);
CREATE INDEX execution_hash ON execution (session, hash);
CREATE TABLE text (id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL,
    kind TEXT NOT NULL, key TEXT NOT NULL, time REAL NOT NULL, text TEXT NOT NULL,
    metadata BLOB NOT NULL);
CREATE INDEX text_time ON text (session, kind, time, id);
CREATE UNIQUE INDEX text_key ON text (session, kind, key) WHERE key != '';
CREATE TABLE item (text INTEGER PRIMARY KEY, session INTEGER NOT NULL, kind TEXT NOT NULL,
    time REAL NOT NULL, importance REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX item_time ON item (session, time, text);
CREATE VIRTUAL TABLE words USING fts5(session, text, content='text', content_rowid='id',
    tokenize='porter unicode61 remove_diacritics 2');
CREATE TABLE vector (id INTEGER PRIMARY KEY, embedder TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX vector_embedder ON vector (embedder, id);
CREATE TABLE figure (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO figure VALUES ('generation', 1);
"""
NOTES = """
PRAGMA temp_store=MEMORY;
CREATE TEMP TABLE gone (id INTEGER PRIMARY KEY);
CREATE TEMP TRIGGER vector_gone AFTER DELETE ON vector BEGIN
    INSERT OR IGNORE INTO gone VALUES (old.id);
END;
"""
"""What a connection notes for its index: the vectors that were removed."""


class Store:
    """Opens the file in *folder*, or makes it.

    Raises:
        LoomError: another process has it, it was written by a newer Loom (nothing is changed), or
            it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        private_dir(folder)
        self.path = folder / FILE
        self._guard = _lock(folder / "memory.lock")
        try:
            self.connection = self._open()
        except sqlite3.DatabaseError as error:
            os.close(self._guard)
            raise LoomError(
                f"{self.path} cannot be read ({error}); bring back a copy of it, or move it away "
                "to begin anew"
            ) from error
        except BaseException:
            os.close(self._guard)
            raise

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise LoomError(
                    f"{self.path} was written by a newer Loom (format {version}, this one reads "
                    f"{FORMAT}); use that, or move the file away to begin anew"
                )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            if version == 0:
                made = f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version={FORMAT};COMMIT;"
                connection.executescript(made)
            connection.executescript(NOTES)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done inside is on the disk afterwards, or nothing of it.

        Raises:
            LoomError: it could not be written.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise LoomError(f"{self.path}: it was not written: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    def take_gone(self) -> list[int]:
        """The vectors that were removed since this was asked last."""
        gone = [id for (id,) in self.connection.execute("SELECT id FROM gone")]
        if gone:
            self.connection.execute("DELETE FROM gone")
        return gone

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let others open it."""
        self.connection.close()
        os.close(self._guard)


def _lock(path: Path) -> int:
    """Hold the store; the operating system lets go of it however this process ends."""
    guard = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(guard)
        raise LoomError(f"another process keeps {path.parent}; stop it first") from None
    return guard
