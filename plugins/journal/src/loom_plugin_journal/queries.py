"""What the log holds, for people: by time, topic, thread; and what is kept beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from loom.contracts import Handling
from loom_kernel import Envelope, check_pattern, matches

from loom_plugin_journal.flight import Letter, Progress
from loom_plugin_journal.recording import Written, handlings_of
from loom_plugin_journal.records import Store

CHUNK = 2048
PAGE = 64
MOST = 10_000
"""Events that one question is answered with."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events. Times are UNIX seconds; 0 and empty mean any."""

    topic: str = ">"
    thread: str = ""
    type: str = ""
    sender: str = ""
    since: float = 0.0
    until: float = 0.0
    after: int = 0
    """Only records with a greater sequence."""
    last: int = 0
    """Only the newest so many of those found."""
    limit: int = MOST

    def accepts(self, event: Envelope) -> bool:
        """Whether *event* is one of them (its topic is looked at before it is decoded)."""
        return (
            (not self.thread or event.thread_id == self.thread)
            and (not self.type or event.type == self.type)
            and (not self.sender or event.sender == self.sender)
            and event.time >= self.since
            and (not self.until or event.time < self.until)
        )


def events(store: Store, query: Query) -> list[dict[str, Any]]:
    """The events of *query*, the oldest first, as JSON-shaped records with their sequence.

    Raises:
        JournalDamaged: what is to be read is not what was written.
        InvalidTopic: the topic is no pattern.
    """
    check_pattern(query.topic)
    found = list(_found(store, query))
    if query.last:
        found = found[-query.last :]
    return [
        {"sequence": sequence, **msgspec.json.decode(event.to_json())}
        for sequence, event in found[: min(query.limit, MOST)]
    ]


def _found(store: Store, query: Query) -> Iterator[tuple[int, Envelope]]:
    at = max(query.after + 1, sequence_at(store, query.since) if query.since else 0, store.first)
    count = 0
    most = MOST + 1 if query.last else min(query.limit, MOST)
    while at <= store.last:
        for record in store.read(at, CHUNK):
            at = record.sequence + 1
            if query.topic != ">" and not matches(query.topic, record.topic):
                continue
            event = record.envelope()
            if query.accepts(event):
                yield record.sequence, event
                count += 1
                if not query.last and count >= most:
                    return


def sequence_at(store: Store, moment: float) -> int:
    """The first record not older than *moment*, as far as the clock of its publisher went on."""
    low, high = store.first, store.last + 1
    while low < high:
        middle = (low + high) // 2
        if store.read(middle, 1)[0].envelope().time < moment:
            low = middle + 1
        else:
            high = middle
    return low


def letters(store: Store) -> list[Letter]:
    """Every dead letter, the oldest first."""
    found = [msgspec.msgpack.decode(data, type=Letter) for _, data in store.scan("letter")]
    return sorted(found, key=lambda letter: (letter.time, letter.sequence))


def consumers(store: Store) -> list[dict[str, Any]]:
    """Every durable consumer, and how far it is."""
    known = []
    for name, data in store.scan("consumer"):
        progress = msgspec.msgpack.decode(data, type=Progress)
        known.append(
            {
                "name": name,
                "patterns": list(progress.patterns),
                "next": progress.next,
                "behind": store.last + 1 - progress.next,
                "in_hand": len(progress.left),
                "seen": progress.seen,
            }
        )
    return known


def handlings(store: Store, after: int, size: int) -> list[Handling]:
    """How agents handled events after handling number *after*: about *size* bytes of them.

    Nothing = there are no more. One whose event is not kept any more is left out.
    """
    found: list[Handling] = []
    while size > 0 and (page := store.scan("run", after=f"{after:020d}", limit=PAGE)):
        for _, data in page:
            written = handlings_of(data)
            found += [whole for one in written if (whole := _whole(store, one)) is not None]
            after = written[-1].number
            size -= len(data)
            if size <= 0 and found:
                break
    return found


def _whole(store: Store, written: Written) -> Handling | None:
    """*written*, with its event."""
    if written.sequence < store.first:
        return None
    event = store.read(written.sequence, 1)[0].envelope()
    known = msgspec.json.decode(msgspec.json.encode(written))
    known["event"] = msgspec.json.decode(event.to_json())
    return msgspec.convert(known, Handling)
