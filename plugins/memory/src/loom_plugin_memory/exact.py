"""The driver `exact`: every vector is compared, in one matrix in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom.contracts import InvalidVector, VectorSource
from loom_kernel import ConfigError

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

METRICS = ("cosine", "dot")


class ExactIndex:
    """See `loom.contracts.VectorIndex`. Nothing is kept on the disk."""

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        if unknown := sorted(options.keys() - {"metric"}):
            raise ConfigError(f"the driver exact knows no option {unknown[0]!r}, only metric")
        if options.get("metric", "cosine") not in METRICS:
            raise ConfigError(f"metric is {options['metric']!r}; it must be cosine or dot")

    def __init__(
        self, folder: Path, dimension: int, source: VectorSource, options: Mapping[str, Any]
    ) -> None:
        self._is_cosine = options.get("metric", "cosine") == "cosine"
        self._dimension = dimension
        self._source = source
        self.rebuild()

    @property
    def count(self) -> int:
        return self._count

    def rebuild(self) -> None:
        import numpy as np

        self._matrix = np.empty((0, self._dimension), np.float32)
        self._ids = np.empty(0, np.int64)
        self._rows: dict[int, int] = {}
        self._count = 0
        for ids, vectors in self._source.read():
            self.add(ids, vectors)

    def add(self, ids: Sequence[int], vectors: bytes) -> None:
        matrix = self._read(vectors, len(ids))
        new = sum(id not in self._rows for id in set(ids))
        self._make_room(self._count + new)
        rows = []
        for id in ids:
            row = self._rows.setdefault(id, self._count)
            if row == self._count:
                self._ids[row] = id
                self._count += 1
            rows.append(row)
        self._matrix[rows] = matrix

    def remove(self, ids: Iterable[int]) -> None:
        for id in ids:
            row = self._rows.pop(id, None)
            if row is None:
                continue
            self._count -= 1
            if row != self._count:  # the last one takes its place
                moved = int(self._ids[self._count])
                self._matrix[row] = self._matrix[self._count]
                self._ids[row] = moved
                self._rows[moved] = row

    def search(
        self, vector: bytes, limit: int, among: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        (query,) = self._read(vector, 1)
        if among is None:
            return self._best(self._matrix[: self._count] @ query, self._ids, limit)
        rows = [self._rows[id] for id in set(among) if id in self._rows]
        return self._best(self._matrix[rows] @ query, self._ids[rows], limit)

    def save(self) -> None:
        """Nothing is to be kept: the source has it all."""

    def close(self) -> None:
        self._matrix = self._matrix[:0]
        self._rows = {}
        self._count = 0

    def _best(
        self, scores: NDArray[float32], ids: NDArray[int64], limit: int
    ) -> list[tuple[int, float]]:
        import numpy as np

        limit = max(0, min(limit, len(scores)))
        if limit == 0:
            return []
        found = np.argpartition(scores, len(scores) - limit)[len(scores) - limit :]
        pairs = zip(ids[found].tolist(), scores[found].tolist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def _make_room(self, wanted: int) -> None:
        if wanted > len(self._ids):
            size = max(wanted, len(self._ids) * 3 // 2, 64)
            import numpy as np

            matrix = np.empty((size, self._dimension), np.float32)
            ids = np.empty(size, np.int64)
            matrix[: self._count] = self._matrix[: self._count]
            ids[: self._count] = self._ids[: self._count]
            self._matrix, self._ids = matrix, ids

    def _read(self, vectors: bytes, count: int) -> NDArray[float32]:
        """*vectors* as a matrix, its rows of length 1 if cosines are asked for."""
        import numpy as np

        if len(vectors) != count * self._dimension * 4:
            raise InvalidVector(
                f"{count} vectors of {self._dimension} numbers have "
                f"{count * self._dimension * 4} bytes, not {len(vectors)}"
            )
        matrix = np.frombuffer(vectors, "<f4").reshape(count, self._dimension)
        if not np.isfinite(matrix).all():
            raise InvalidVector("a vector holds something that is no number, or infinite")
        if self._is_cosine and count:
            largest = np.abs(matrix).max(axis=1, keepdims=True)  # no square is out of range
            matrix = matrix / np.where(largest > 0, largest, 1)
            lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
            matrix /= np.where(lengths > 0, lengths, 1)
        return matrix
