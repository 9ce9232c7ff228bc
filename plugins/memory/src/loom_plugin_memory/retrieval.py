"""What fits a query: found by words and by meaning, the recent before the old.

Two lists are merged by the ranks that something has in them (reciprocal rank fusion; Cormack,
Clarke and Büttcher 2009): BM25 of the words, and the cosine of the vectors. What neither finds does
not fit. The sum is worth less the older it is, by an exponential decay as in Generative Agents
(Park et al. 2023):

    score = (1/(60 + rank in words) + 1/(60 + rank in vectors)) * (1 - r + r * 2**(-age/half_life))

with ranks from 1, an absent one adding nothing, and r = `recency`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec
from loom.contracts import Memories, MemoryItem, Retrieve, VectorIndex

from loom_plugin_memory.texts import by_words, heads, read

K = 60
"""The constant of reciprocal rank fusion, as its authors chose it."""
FOUND = 10
DEPTH = 100
"""How many of each list count, at least."""
DAY = 86_400.0


class Weights(msgspec.Struct, frozen=True):
    """How much age counts."""

    half_life: float
    """Days."""
    recency: float

    def of_age(self, seconds: float) -> float:
        """1 for what was said just now, down to 1 - recency."""
        worth: float = 2.0 ** (-max(0.0, seconds) / (self.half_life * DAY))
        return 1 - self.recency + self.recency * worth


class Meaning(msgspec.Struct, frozen=True):
    """The query as a vector, and where vectors like it are found."""

    index: VectorIndex
    vector: bytes
    floor: float

    def nearest(self, limit: int, among: Sequence[int]) -> list[int]:
        """The ids whose likeness reaches the floor, best first."""
        found = self.index.search(self.vector, limit, among)
        return [id for id, likeness in found if likeness >= self.floor]


def retrieve(
    db: sqlite3.Connection, session: int, now: float, request: Retrieve,
    meaning: Meaning | None, weights: Weights,
) -> Memories:  # fmt: skip
    """What of *session* fits the request, best first; without a query, the newest."""
    known = heads(db, session, request.filters)
    limit = request.limit or FOUND
    if request.query.strip():
        depth = max(DEPTH, limit)
        words = [id for id in by_words(db, session, request.query) if id in known][:depth]
        near = meaning.nearest(depth, list(known)) if meaning else []
        base = fused(words, near)
    else:
        base = dict.fromkeys(known, 1.0)
    score = {id: worth * weights.of_age(now - known[id]) for id, worth in base.items()}
    best = sorted(score, key=lambda one: (-score[one], -known[one], -one))[:limit]
    return Memories(
        [MemoryItem(one.text, one.time, one.metadata, score[one.id]) for one in read(db, best)]
    )


def fused(*rankings: Sequence[int]) -> Mapping[int, float]:
    """What each id is worth by its ranks."""
    worth: dict[int, float] = {}
    for ranking in rankings:
        for rank, id in enumerate(ranking, 1):
            worth[id] = worth.get(id, 0.0) + 1 / (K + rank)
    return worth
