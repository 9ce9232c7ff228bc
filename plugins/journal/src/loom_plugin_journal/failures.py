"""What an error of SQLite means to those who wait."""

from __future__ import annotations

import errno
import sqlite3

from loom_plugin_journal.records import JournalDamaged

_PASSING = (
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
)  # fmt: skip
"""Codes of what may be over later: the disk's or the machine's, not the file's."""


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 if it was not SQLite that failed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def meaning(error: sqlite3.Error, text: str) -> Exception:
    """*error* as what the caller should do: try again later, or look at the damage."""
    if code(error) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, text)
    if isinstance(error, sqlite3.ProgrammingError) or code(error) in _PASSING:
        return OSError(errno.EIO, text)
    return JournalDamaged(text)
