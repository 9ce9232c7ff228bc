"""Everything that was said in words: kept, found by words, and the truth about its vectors."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

PART = 2048
"""Vectors that are read at once."""
TERMS = 64
"""Words of a query that count."""
_WORD = re.compile(r"\w+")
_metadata = msgspec.json.Decoder(dict[str, str]).decode


class Said(msgspec.Struct, frozen=True):
    """A text and when it was said."""

    id: int
    time: float
    text: str
    metadata: dict[str, str]


def say(
    db: sqlite3.Connection, session: int, kind: str, key: str, time: float, text: str,
    metadata: dict[str, str],
) -> int:  # fmt: skip
    """Keep a text; one with the same key in its session and kind is replaced. Its id."""
    if key:
        forget(db, _ids(db, "session = ? AND kind = ? AND key = ?", (session, kind, key)))
    body = msgspec.json.encode(metadata)
    id = db.execute(
        "INSERT INTO text (session, kind, key, time, text, metadata) VALUES (?, ?, ?, ?, ?, ?)",
        (session, kind, key, time, text, body),
    ).lastrowid
    db.execute("INSERT INTO words (rowid, session, text) VALUES (?, ?, ?)", (id, session, text))
    return int(id or 0)


def forget(db: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Remove these texts, and what was derived from them."""
    gone = 0
    for id in ids:
        db.execute(
            "INSERT INTO words (words, rowid, session, text) "
            "SELECT 'delete', id, session, text FROM text WHERE id = ?",
            (id,),
        )
        db.execute("DELETE FROM text WHERE id = ?", (id,))
        db.execute("DELETE FROM item WHERE text = ?", (id,))
        gone += db.execute("DELETE FROM vector WHERE id = ?", (id,)).rowcount
    if gone:
        _rise(db)


def oldest(db: sqlite3.Connection, session: int, kind: str, keep: int) -> list[int]:
    """The ids of all but the newest *keep* texts."""
    rows = db.execute(
        "SELECT id FROM text WHERE session = ? AND kind = ? ORDER BY time DESC, id DESC "
        "LIMIT -1 OFFSET ?",
        (session, kind, keep),
    )
    return [id for (id,) in rows]


def of_session(db: sqlite3.Connection, session: int) -> list[int]:
    """The ids of all its texts."""
    return _ids(db, "session = ?", (session,))


def heads(db: sqlite3.Connection, session: int, wanted: Mapping[str, str]) -> dict[int, float]:
    """When each text of the session was said that has the *wanted* metadata."""
    if not wanted:
        return dict(
            db.execute("SELECT id, time FROM text WHERE session = ?", (session,)).fetchall()
        )
    rows = db.execute("SELECT id, time, metadata FROM text WHERE session = ?", (session,))
    return {id: time for id, time, body in rows if wanted.items() <= _metadata(body).items()}


def read(db: sqlite3.Connection, ids: Iterable[int]) -> list[Said]:
    """These texts, in this order."""
    select = "SELECT id, time, text, metadata FROM text WHERE id = ?"
    return [_said(*db.execute(select, (id,)).fetchone()) for id in ids]


def events(db: sqlite3.Connection, session: int, limit: int) -> list[Said]:
    """The latest events of the session, in the order in which they happened."""
    rows = db.execute(
        "SELECT id, time, text, metadata FROM text WHERE session = ? AND kind = 'event' "
        "ORDER BY time DESC, id DESC LIMIT ?",
        (session, limit),
    )
    return [_said(*row) for row in rows][::-1]


def by_words(db: sqlite3.Connection, session: int, query: str) -> list[int]:
    """The ids of the session's texts that share words with *query*, best first (BM25).

    The function is FTS5's (https://www.sqlite.org/fts5.html#the_bm25_function); how rare a word is
    is counted over all sessions.
    """
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(query)))[:TERMS]
    if not words:
        return []
    either = " OR ".join(f'"{word}"' for word in words)
    rows = db.execute(
        "SELECT rowid FROM words WHERE words MATCH ? ORDER BY bm25(words, 0.0, 1.0), rowid DESC",
        (f'session : "{session}" AND text : ({either})',),
    )
    return [id for (id,) in rows]


def unembedded(db: sqlite3.Connection, embedder: str, limit: int) -> list[tuple[int, str]]:
    """Texts without a vector of *embedder*, newest first: those are asked for soonest."""
    return db.execute(
        "SELECT text.id, text.text FROM text LEFT JOIN vector ON vector.id = text.id "
        "AND vector.embedder = ? WHERE vector.id IS NULL ORDER BY text.id DESC LIMIT ?",
        (embedder, limit),
    ).fetchall()


def embed(
    db: sqlite3.Connection, embedder: str, vectors: Sequence[tuple[int, bytes]]
) -> list[tuple[int, bytes]]:
    """Keep the vectors of texts that are still there; those."""
    kept = []
    for id, data in vectors:
        done = db.execute(
            "INSERT OR REPLACE INTO vector (id, embedder, data) "
            "SELECT id, ?, ? FROM text WHERE id = ?",
            (embedder, data, id),
        )
        if done.rowcount:
            kept.append((id, data))
    if kept:
        _rise(db)
    return kept


class Truth:
    """The vectors of one embedder: the `loom.contracts.VectorSource` of an index."""

    def __init__(self, db: sqlite3.Connection, embedder: str, length: int) -> None:
        self.name = embedder
        self._db = db
        self._length = length
        """Bytes of a vector."""

    @property
    def generation(self) -> int:
        row = self._db.execute("SELECT value FROM figure WHERE name = 'generation'").fetchone()
        return int(row[0])

    def read(self) -> Iterator[tuple[list[int], bytes]]:
        """Vectors of a wrong length are passed over, as if they were not there."""
        last = -1
        while rows := self._part(last):
            last = rows[-1][0]
            whole = [row for row in rows if len(row[1]) == self._length]
            if whole:
                yield [id for id, _ in whole], b"".join(data for _, data in whole)

    def _part(self, last: int) -> list[tuple[int, bytes]]:
        return self._db.execute(
            "SELECT id, data FROM vector WHERE embedder = ? AND id > ? ORDER BY id LIMIT ?",
            (self.name, last, PART),
        ).fetchall()


def _said(id: int, time: float, text: str, body: bytes) -> Said:
    return Said(id, time, text, _metadata(body))


def _ids(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[int]:
    found = db.execute(f"SELECT id FROM text WHERE {where}", values)  # noqa: S608  # ours, fixed
    return [id for (id,) in found]


def _rise(db: sqlite3.Connection) -> None:
    """What was derived from the vectors before is stale."""
    db.execute("UPDATE figure SET value = value + 1 WHERE name = 'generation'")
