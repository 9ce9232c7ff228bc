"""Sessions: who may see what. Every row of every table belongs to one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from loom_plugin_memory.problems import Refusal
from loom_plugin_memory.texts import forget, of_session

NOBODY = 0
"""The session that has nothing: what was never written to."""


def find(db: sqlite3.Connection, owner: str, name: str) -> int:
    """The session that *owner* calls *name*."""
    row = db.execute(
        "SELECT id FROM session WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()
    return int(row[0]) if row else NOBODY


def open_session(db: sqlite3.Connection, owner: str, name: str, most: int) -> int:
    """The same, made if it is new.

    Raises:
        Refusal: *owner* has *most* already.
    """
    if known := find(db, owner, name):
        return known
    count = db.execute("SELECT count(*) FROM session WHERE owner = ?", (owner,)).fetchone()[0]
    if count >= most:
        said = f"{owner!r} has {count} sessions, which is the most; forget one (max_sessions)"
        raise Refusal("BUDGET_EXCEEDED", said)
    made = db.execute("INSERT INTO session (owner, name) VALUES (?, ?)", (owner, name))
    return int(made.lastrowid or NOBODY)


def labels_of(db: sqlite3.Connection, session: int) -> frozenset[str]:
    """The labels of all that was ever written to the session."""
    row = db.execute("SELECT labels FROM session WHERE id = ?", (session,)).fetchone()
    return frozenset(msgspec.json.decode(row[0], type=list[str])) if row else frozenset()


def add_labels(db: sqlite3.Connection, session: int, labels: Iterable[str]) -> None:
    """What is read from the session carries these labels too."""
    known = labels_of(db, session)
    if not known >= set(labels):
        joined = msgspec.json.encode(sorted(known | set(labels)))
        db.execute("UPDATE session SET labels = ? WHERE id = ?", (joined, session))


def remove(db: sqlite3.Connection, session: int) -> None:
    """Nothing of the session is kept."""
    forget(db, of_session(db, session))
    for table in ("plan", "execution", "item"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session,))  # noqa: S608  # ours
    db.execute("DELETE FROM session WHERE id = ?", (session,))
