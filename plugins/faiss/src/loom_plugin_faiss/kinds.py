"""The two kinds of index. A row is a vector's place in FAISS; ids are ours.

FAISS cannot take a vector out of a graph, so there a removed one stays as a tombstone that no
search finds, until they are so many that the graph is made anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from loom_plugin_faiss.options import Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

Found = list[tuple[int, float]]
FEW = 20_000
"""A graph is not followed to find the best of so few: they are compared."""
GONE = 0.25
"""The share of tombstones that is too much."""


class Flat:
    """Compares all: `IndexIDMap2(IndexFlatIP)`."""

    def __init__(self, dimension: int, options: Options) -> None:
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._known: set[int] = set()
        self.is_worn = False

    @property
    def count(self) -> int:
        return len(self._known)

    def add(self, ids: Sequence[int], matrix: Matrix) -> None:
        self.remove(ids)
        self._index.add_with_ids(matrix, np.array(ids, np.int64))
        self._known.update(ids)

    def remove(self, ids: Collection[int]) -> None:
        gone = self._known.intersection(ids)
        if gone:
            self._index.remove_ids(np.fromiter(gone, np.int64, len(gone)))
            self._known -= gone

    def search(self, query: Matrix, limit: int, among: Collection[int] | None) -> Found:
        if among is None:
            return _pairs(*self._index.search(query, limit))
        chosen = faiss.IDSelectorBatch(np.fromiter(among, np.int64, len(among)))
        parameters = _make("SearchParameters", sel=chosen)
        return _pairs(*self._index.search(query, limit, params=parameters))

    def dump(self) -> tuple[bytes, bytes]:
        return faiss.serialize_index(self._index).tobytes(), b""

    def load(self, index: bytes, ids: bytes) -> None:
        self._index = faiss.deserialize_index(np.frombuffer(index, np.uint8))
        self._known = set(faiss.vector_to_array(self._index.id_map).tolist())


class Graph:
    """Follows a graph of neighbours: `IndexHNSWFlat`, with tombstones."""

    def __init__(self, dimension: int, options: Options) -> None:
        metric = faiss.METRIC_INNER_PRODUCT
        self._breadth = options.breadth
        self._index: Any = faiss.IndexHNSWFlat(dimension, options.links, metric)
        self._index.hnsw.efConstruction = options.breadth
        self._ids = np.empty(0, np.int64)
        """By row; -1 is a tombstone."""
        self._rows: dict[int, int] = {}

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def is_worn(self) -> bool:
        """Whether it should be made anew."""
        return len(self._ids) - len(self._rows) > max(64, GONE * len(self._ids))

    def add(self, ids: Sequence[int], matrix: Matrix) -> None:
        self.remove(ids)
        first = len(self._ids)
        self._index.add(matrix)
        self._ids = np.concatenate([self._ids, np.array(ids, np.int64)])
        self._rows.update(zip(ids, range(first, len(self._ids)), strict=True))

    def remove(self, ids: Collection[int]) -> None:
        rows = [self._rows.pop(id) for id in set(ids) if id in self._rows]
        self._ids[rows] = -1

    def search(self, query: Matrix, limit: int, among: Collection[int] | None) -> Found:
        if among is None and len(self._ids) == len(self._rows):
            return self._follow(query, limit, None)
        if among is None:
            return self._follow(query, limit, np.flatnonzero(self._ids >= 0))
        rows = np.array([self._rows[id] for id in set(among) if id in self._rows], np.int64)
        if len(rows) > FEW:
            return self._follow(query, limit, rows)
        if not len(rows):
            return []
        scores = self._index.storage.reconstruct_batch(rows) @ query[0]
        best = np.argsort(-scores, kind="stable")[:limit]
        return _pairs(scores[best][None], self._ids[rows[best]][None])

    def _follow(self, query: Matrix, limit: int, rows: NDArray[np.int64] | None) -> Found:
        breadth = max(self._breadth, limit)
        chosen = None if rows is None else faiss.IDSelectorBatch(rows)
        options = {"efSearch": breadth} | ({"sel": chosen} if chosen is not None else {})
        parameters = _make("SearchParametersHNSW", **options)
        scores, found = self._index.search(query, limit, params=parameters)
        is_there = found[0] >= 0
        return _pairs(scores[:, is_there], self._ids[found[0][is_there]][None])

    def dump(self) -> tuple[bytes, bytes]:
        return faiss.serialize_index(self._index).tobytes(), self._ids.tobytes()

    def load(self, index: bytes, ids: bytes) -> None:
        self._index = faiss.deserialize_index(np.frombuffer(index, np.uint8))
        self._ids = np.frombuffer(ids, np.int64).copy()
        known = self._ids.tolist()
        self._rows = {id: row for row, id in enumerate(known) if id >= 0}


KINDS: dict[str, type[Flat] | type[Graph]] = {"flat": Flat, "hnsw": Graph}


def _pairs(scores: Any, ids: Any) -> Found:
    """What FAISS found, best first; its empty places are left out."""
    both = zip(ids[0].tolist(), scores[0].tolist(), strict=True)
    return sorted((pair for pair in both if pair[0] >= 0), key=lambda pair: (-pair[1], pair[0]))


def _make(name: str, **options: Any) -> Any:
    """An object of FAISS whose making its types do not describe."""
    return getattr(faiss, name)(**options)
