"""The driver `faiss`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom.contracts import InvalidVector, VectorSource

from loom_plugin_faiss.files import Origin, read_file, write_file
from loom_plugin_faiss.options import read_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FaissIndex:
    """See `loom.contracts.VectorIndex`. It keeps one file, from which it begins if that is true."""

    @staticmethod
    def check(options: Mapping[str, Any]) -> None:
        read_options(options)

    def __init__(
        self, folder: Path, dimension: int, source: VectorSource, options: Mapping[str, Any]
    ) -> None:
        import faiss

        faiss.omp_set_num_threads(1)  # a second thread makes a query several times slower
        self._folder = folder
        self._dimension = dimension
        self._source = source
        self._options = read_options(options)
        self._made = f"{self._options} of {dimension}, faiss {faiss.__version__}"
        self.was_read = self._load()
        """Whether the file was as true as the source."""
        if not self.was_read:
            self.rebuild()

    def _load(self) -> bool:
        kept = read_file(self._folder, self._origin())
        self._index = self._new()
        if kept is None:
            return False
        self._index.load(*kept)
        return True

    def _new(self) -> Any:
        from loom_plugin_faiss.kinds import KINDS

        return KINDS[self._options.kind](self._dimension, self._options)

    def _origin(self) -> Origin:
        return Origin(self._source.name, self._source.generation, self._made)

    @property
    def count(self) -> int:
        count: int = self._index.count
        return count

    def rebuild(self) -> None:
        self._index = self._new()
        for ids, vectors in self._source.read():
            self._index.add(ids, self._read(vectors, len(ids)))

    def add(self, ids: Sequence[int], vectors: bytes) -> None:
        matrix = self._read(vectors, len(ids))
        rows = {id: row for row, id in enumerate(ids)}  # of an id that comes twice, the last
        if len(rows) < len(ids):
            matrix = matrix[list(rows.values())]
        if rows:
            self._index.add(list(rows), matrix)
        if self._index.is_worn:
            self.rebuild()

    def remove(self, ids: Iterable[int]) -> None:
        self._index.remove(list(ids))
        if self._index.is_worn:
            self.rebuild()

    def search(
        self, vector: bytes, limit: int, among: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        query = self._read(vector, 1)
        limit = max(0, min(limit, self.count))
        if limit == 0:
            return []
        found: list[tuple[int, float]] = self._index.search(query, limit, among)
        return found

    def save(self) -> None:
        write_file(self._folder, self._origin(), *self._index.dump())

    def close(self) -> None:
        self._index = self._new()

    def _read(self, vectors: bytes, count: int) -> NDArray[np.float32]:
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
        if self._options.metric == "cosine" and count:
            largest = np.abs(matrix).max(axis=1, keepdims=True)  # no square is out of range
            matrix = matrix / np.where(largest > 0, largest, 1)
            lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
            matrix /= np.where(lengths > 0, lengths, 1)
        return np.ascontiguousarray(matrix, np.float32)
