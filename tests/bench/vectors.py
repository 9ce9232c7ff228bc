"""What finding the nearest vectors costs: `python -m tests.bench.vectors CASE SECONDS` prints µs.

100,000 vectors of 384 numbers, ten nearest, one query after the other, one thread.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from time import perf_counter

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_name] = "1"

import faiss  # noqa: E402  # after the threads were set
import numpy as np  # noqa: E402  # the same

COUNT = 100_000
DIMENSION = 384
NEAREST = 10
OF_SESSION = range(0, COUNT, COUNT // 1600)
Search = Callable[[], object]
Case = Callable[["Source"], AbstractContextManager[Search]]
rng = np.random.default_rng(1)


class Source:
    """The vectors of the benchmark, in memory."""

    name = "bench"
    generation = 1

    def __init__(self) -> None:
        matrix = rng.standard_normal((COUNT, DIMENSION), np.float32)
        self.matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)

    def read(self) -> Iterator[tuple[list[int], bytes]]:
        for first in range(0, COUNT, 1000):
            yield list(range(first, first + 1000)), self.matrix[first : first + 1000].tobytes()


@contextmanager
def dot(source: Source) -> Iterator[Search]:
    """The limit of `exact`: the product alone."""
    query = source.matrix[7].copy()
    yield lambda: source.matrix @ query


@contextmanager
def raw_faiss(source: Source) -> Iterator[Search]:
    """The limit of `faiss`: its own search."""
    faiss.omp_set_num_threads(1)
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(DIMENSION))
    index.add_with_ids(source.matrix, np.arange(COUNT))
    query = source.matrix[7:8].copy()
    yield lambda: index.search(query, NEAREST)


def driver(name: str, among: range | None = None) -> Case:
    @contextmanager
    def search(source: Source) -> Iterator[Search]:
        (found,) = entry_points(group="loom.vectors", name=name)
        query = source.matrix[7].tobytes()
        with tempfile.TemporaryDirectory() as folder:
            index = found.load()(Path(folder), DIMENSION, source, {})
            yield lambda: index.search(query, NEAREST, among)
            index.close()

    return search


CASES: dict[str, Case] = {
    "dot": dot,
    "exact": driver("exact"),
    "exact-session": driver("exact", OF_SESSION),
    "raw-faiss": raw_faiss,
    "faiss": driver("faiss"),
    "faiss-session": driver("faiss", OF_SESSION),
}


def measure(case: str, seconds: float) -> dict[str, float]:
    """Search as often as fits into *seconds*."""
    with CASES[case](Source()) as search:
        for _ in range(3):
            search()
        times: list[float] = []
        end = perf_counter() + seconds
        while (began := perf_counter()) < end:
            search()
            times.append(perf_counter() - began)
    times.sort()
    return {"p50_us": times[len(times) // 2] * 1e6}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], float(sys.argv[2]))) + "\n")
