"""Reading with proof: everything that is read is what was written, or JournalDamaged says where."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from zlib import crc32

import msgspec

from loom_plugin_journal.failures import meaning
from loom_plugin_journal.records import START, JournalDamaged, Space, checksum, link

SEGMENT = 4096
"""Records after which the chain's link is noted, so that older ones can be removed."""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A link of the chain: that of the record *last*."""

    last: int
    link: bytes


def range_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """The oldest and the newest record; zeros if there is none."""
    found: tuple[int, int] = connection.execute(
        "SELECT coalesce(min(sequence), 0), coalesce(max(sequence), 0) FROM record"
    ).fetchone()
    return found


def segments_of(connection: sqlite3.Connection) -> list[Segment]:
    rows = values_of(connection, "segment", "")
    return [msgspec.msgpack.decode(data, type=Segment) for _, data in rows]


def rows_of(
    connection: sqlite3.Connection, first: int, last: int
) -> list[tuple[int, str, bytes, bytes]]:
    """The records from *first* to *last*, all of them, each as it was written."""
    try:
        found = connection.execute(
            "SELECT sequence, topic, body, crc, link FROM record "
            "WHERE sequence BETWEEN ? AND ? ORDER BY sequence",
            (first, last),
        ).fetchall()
    except sqlite3.Error as error:
        text = f"records {first} to {last} cannot be read: {error}"
        raise meaning(error, text) from error
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


def walk(connection: sqlite3.Connection, anchor: Segment, last: int) -> bytes:
    """Follow the chain from *anchor* to record *last*; the link there."""
    before = anchor.link
    for start in range(anchor.last + 1, last + 1, SEGMENT):
        end = min(start + SEGMENT - 1, last)
        for sequence, topic, body, own in rows_of(connection, start, end):
            before = link(before, sequence, topic, body)
            if before != own:
                raise JournalDamaged(f"record {sequence} does not follow those before it")
    return before


def value_of(connection: sqlite3.Connection, space: Space, key: str) -> bytes | None:
    row = connection.execute(
        "SELECT data, crc FROM value WHERE space = ? AND key = ?", (space, key)
    ).fetchone()
    return None if row is None else _whole(space, key, *row)


def values_of(
    connection: sqlite3.Connection, space: Space, prefix: str, *, after: str = "", limit: int = -1
) -> list[tuple[str, bytes]]:
    rows = connection.execute(
        "SELECT key, data, crc FROM value WHERE space = ? AND key >= ? AND key < ? "
        "AND (key > ? OR ? = '') ORDER BY key LIMIT ?",
        (space, max(prefix, after), beyond(prefix), after, after, limit),
    ).fetchall()
    return [(key, _whole(space, key, data, crc)) for key, data, crc in rows]


def verify(connection: sqlite3.Connection, at_least: int) -> int:
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise JournalDamaged(f"the file: {problem}")
    connection.execute("BEGIN")  # what is written or removed meanwhile is not seen
    first, last = range_of(connection)
    if last < at_least:
        raise JournalDamaged(f"records {last + 1} to {at_least} are missing")
    segments = segments_of(connection)
    anchor = next((s for s in segments if s.last == first - 1), Segment(0, START))
    for before, after in pairwise([anchor, *(s for s in segments if s.last >= first)]):
        if walk(connection, before, after.last) != after.link:
            raise JournalDamaged(f"records up to {after.last} are not the noted ones")
    newest = segments[-1] if segments and segments[-1].last >= first else anchor
    walk(connection, newest, last)
    for space in [row[0] for row in connection.execute("SELECT DISTINCT space FROM value")]:
        values_of(connection, space, "")
    return last - first + 1 if first else 0


def crc_of(space: Space, key: str, data: bytes) -> int:
    return crc32(data, crc32(f"{space}\0{key}".encode()))


def _whole(space: Space, key: str, data: bytes, crc: int) -> bytes:
    if not isinstance(data, bytes) or crc_of(space, key, data) != crc:
        raise JournalDamaged(f"the {space} {key!r} is not what was written")
    return data


def _is_whole(sequence: int, topic: str, body: bytes, crc: int) -> bool:
    return (
        isinstance(body, bytes)
        and isinstance(topic, str)
        and checksum(sequence, topic, body) == crc
    )


def beyond(prefix: str) -> str:
    """What follows every text that begins with *prefix*."""
    return prefix + "\U0010ffff"
