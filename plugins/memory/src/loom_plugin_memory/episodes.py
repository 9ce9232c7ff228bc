"""What happened in a session: events, and their summary."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from loom.contracts import (
    AppendEvent,
    ContextItem,
    ContextItems,
    EpisodeSummary,
    QueryContext,
    SaveContext,
    SummarizeEpisode,
)

from loom_plugin_memory.texts import Said, events, forget, oldest, say

EVENTS = 500
ITEMS = 1000
QUERIED = 100
CHOSEN = 8
"""Events that a summary quotes."""
LONGEST = 160
"""Letters of each."""
_WORD = re.compile(r"\w{4,}")
_item = msgspec.json.Decoder(ContextItem).decode


def append(db: sqlite3.Connection, session: int, now: float, request: AppendEvent) -> None:
    """Keep the event and the newest 499 others."""
    say(db, session, "event", "", now, request.text, request.metadata)
    forget(db, oldest(db, session, "event", EVENTS))


def summarize(
    db: sqlite3.Connection, session: int, now: float, request: SummarizeEpisode
) -> EpisodeSummary:
    """How many events, from when to when, and the most telling ones in their order."""
    told = events(db, session, request.max_events or EVENTS)
    if not told:
        return EpisodeSummary("nothing happened", 0)
    began, ended = (_moment(event.time) for event in (told[0], told[-1]))
    head = f"{len(told)} events, {began} to {ended}" if len(told) > 1 else f"1 event, {began}"
    quoted = "; ".join(_shortened(event.text) for event in telling(told, CHOSEN))
    return EpisodeSummary(f"{head}: {quoted}", len(told))


def telling(said: Sequence[Said], count: int) -> list[Said]:
    """The *count* events whose words are most typical of all, each saying something new.

    SumBasic: a word is worth how often it occurs, and its square once it was said (Nenkova and
    Vanderwende 2005, The Impact of Frequency on Summarization).
    """
    words = [sorted(set(_WORD.findall(event.text.lower()))) for event in said]
    counts = Counter(word for some in words for word in some)
    worth = {word: number / counts.total() for word, number in counts.items()}
    left = set(range(len(said)))
    chosen: list[int] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda n: (_mean([worth[w] for w in words[n]]), n))
        left.remove(best)
        chosen.append(best)
        for word in words[best]:
            worth[word] **= 2
    return [said[n] for n in sorted(chosen)]


def save_items(db: sqlite3.Connection, session: int, now: float, request: SaveContext) -> None:
    """Keep the items and the newest others, 1,000 in all."""
    for item in request.items:
        whole = msgspec.structs.replace(item, time=item.time or now)
        kind = f"item/{item.kind}"
        id = say(db, session, kind, item.key, whole.time, item.text, item.metadata)
        db.execute(
            "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)",
            (id, session, item.kind, whole.time, item.importance, msgspec.json.encode(whole)),
        )
    rows = db.execute(
        "SELECT text FROM item WHERE session = ? ORDER BY time DESC, text DESC LIMIT -1 OFFSET ?",
        (session, ITEMS),
    )
    forget(db, [id for (id,) in rows.fetchall()])


def query_items(
    db: sqlite3.Connection, session: int, now: float, request: QueryContext
) -> ContextItems:
    """The items that were asked for: filtered, then put in order, then limited."""
    rows = db.execute(
        "SELECT body FROM item WHERE session = ? AND (? = '' OR kind = ?) AND time >= ? "
        "ORDER BY importance * ? DESC, time DESC, text DESC",
        (session, request.kind, request.kind, request.since, request.order == "important"),
    )
    wanted = request.filters.items()
    found = [item for (body,) in rows if wanted <= (item := _item(body)).metadata.items()]
    return ContextItems(found[request.offset : request.offset + (request.limit or QUERIED)])


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _moment(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"
