"""What every driver of `loom.vectors` must do. It needs numpy, and hypothesis for the model."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from loom_kernel import private_dir

from loom.contracts import InvalidVector, VectorIndex

if TYPE_CHECKING:
    from numpy import float32, float64
    from numpy.typing import NDArray

DIMENSION = 8
CHILD = "import sys; from loom.testing.vectors import change_forever; change_forever(*sys.argv[1:])"
CLOSE = 1e-5
"""How far a likeness may be from the true one."""
Found = list[tuple[int, float]]


class KeptVectors:
    """A `VectorSource` in a file of its own: what is true, through any crash."""

    name = "test"

    def __init__(self, folder: Path) -> None:
        private_dir(folder)
        self._db = sqlite3.connect(folder / "truth.db", isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE IF NOT EXISTS vector "
            "(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
        )

    @property
    def generation(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def read(self) -> Iterator[tuple[list[int], bytes]]:
        rows = self._db.execute("SELECT id, data FROM vector").fetchall()
        for first in range(0, len(rows), 1000):
            part = rows[first : first + 1000]
            yield [id for id, _ in part], b"".join(data for _, data in part)

    def change(self, added: Mapping[int, bytes], removed: Collection[int] = ()) -> None:
        """Keep *added*, and *removed* no longer."""
        rise = f"PRAGMA user_version = {self.generation + 1}"
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("DELETE FROM vector WHERE id = ?", [(id,) for id in removed])
        self._db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", added.items())
        self._db.execute(rise)
        self._db.execute("COMMIT")

    def vectors(self) -> dict[int, bytes]:
        """All of them."""
        return dict(self._db.execute("SELECT id, data FROM vector").fetchall())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


class Bench:
    """A driver with options, at work on a truth in *folder*, and what it should find."""

    def __init__(
        self, driver: str, folder: Path, options: Mapping[str, Any], dimension: int = DIMENSION
    ) -> None:
        (found,) = entry_points(group="loom.vectors", name=driver)
        make = found.load()
        make.check(options)
        self._make: Callable[..., VectorIndex] = make
        self._options = options
        self._dimension = dimension
        self.folder = folder / "index"
        self.truth = KeptVectors(folder)
        self.index = self._open()

    def _open(self) -> VectorIndex:
        return self._make(self.folder, self._dimension, self.truth, self._options)

    def reopen(self, *, saved: bool = True) -> None:
        """End the index in order, or as a crash does, and begin again."""
        if saved:
            self.index.save()
        self.index.close()
        self.index = self._open()

    def change(self, added: Mapping[int, bytes], removed: Collection[int] = ()) -> None:
        """First what is true, then what is derived."""
        self.truth.change(added, removed)
        self.index.remove(removed)
        self.index.add(list(added), b"".join(added.values()))

    def check(
        self, query: bytes, limit: int, among: Collection[int] | None = None, recall: float = 1.0
    ) -> None:
        """Hold what is found against what is true; *recall* = the share that must be found."""
        known = self.truth.vectors()
        assert self.index.count == len(known), (self.index.count, len(known))
        if among is not None:
            known = {id: data for id, data in known.items() if id in among}
        found = self.index.search(query, limit, among)
        metric = self._options.get("metric", "cosine")
        true = likenesses(known, query, self._dimension, metric)
        _compare(found, true, limit, recall)

    def close(self) -> None:
        """Let go of everything."""
        self.index.close()
        self.truth.close()


def _compare(found: Found, true: Mapping[int, float], limit: int, recall: float) -> None:
    ids = [id for id, _ in found]
    assert len(set(ids)) == len(ids), "something is found twice"
    assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
    for id, score in found:
        assert id in true, f"{id} is not there"
        assert abs(score - true[id]) <= CLOSE * max(1.0, abs(true[id])), (id, score, true[id])
    best = sorted(true.values(), reverse=True)[: max(limit, 0)]
    if not best:
        assert not found
        return
    reached = best[-1] - CLOSE * max(1.0, abs(best[-1]))
    good = sum(true[id] >= reached for id in ids)
    assert good >= recall * len(best), f"{good} of the {len(best)} nearest were found"
    assert recall < 1 or len(found) == len(best)


def likenesses(
    known: Mapping[int, bytes], query: bytes, dimension: int, metric: str = "cosine"
) -> dict[int, float]:
    """How near each is, in twice the precision."""
    import numpy as np

    if not known:
        return {}
    matrix = _matrix(b"".join(known.values()), dimension).astype(np.float64)
    line = _matrix(query, dimension).astype(np.float64)
    if metric == "cosine":
        matrix, line = _unit(matrix), _unit(line)
    return dict(zip(known, (matrix @ line[0]).tolist(), strict=True))


def _unit(matrix: NDArray[float64]) -> NDArray[float64]:
    import numpy as np

    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: NDArray[float64] = matrix / np.where(lengths > 0, lengths, 1)
    return unit


def _matrix(data: bytes, dimension: int) -> NDArray[float32]:
    import numpy as np

    return np.frombuffer(data, "<f4").reshape(-1, dimension)


def random_vectors(count: int, dimension: int = DIMENSION, seed: int = 0) -> list[bytes]:
    """So many, in some hundred clusters: noise alone is nobody's neighbour."""
    import numpy as np

    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(100, dimension))
    rows = centres[rng.integers(0, 100, count)] + 0.3 * rng.normal(size=(count, dimension))
    return [row.tobytes() for row in rows.astype("<f4")]


def check_vector_index(
    driver: str, folder: Path, options: Mapping[str, Any] | None = None, *, recall: float = 1.0
) -> None:
    """Check what the installed *driver* of `loom.vectors` does with *options*, in *folder*.

    Raises:
        AssertionError: it does something else than its contract says.
    """
    for number, check in enumerate((_begins_empty, _refuses, _follows, _filters, _comes_back)):
        bench = Bench(driver, folder / str(number), options or {})
        try:
            check(bench, recall)
        finally:
            bench.close()


def _begins_empty(bench: Bench, recall: float) -> None:
    (query,) = random_vectors(1)
    bench.check(query, 10)
    bench.change({0: bytes(4 * DIMENSION), 2**63 - 1: query})
    bench.check(query, 10)
    bench.check(bytes(4 * DIMENSION), 1)
    assert bench.index.search(query, 0) == []


def _refuses(bench: Bench, recall: float) -> None:
    import numpy as np

    good, *_ = random_vectors(1)
    bench.change({1: good})
    nan = np.full(DIMENSION, np.nan, "<f4").tobytes()
    wrong: list[tuple[Sequence[int], bytes]] = [
        ([2], good[:-4]), ([2], good + good), ([2, 3], good), ([2], nan), ([2, 3], good + nan),
    ]  # fmt: skip
    for ids, data in wrong:
        _refused(lambda ids=ids, data=data: bench.index.add(ids, data))  # type: ignore[misc]  # bound at once
    for query in (good[:-4], good + good, nan, b""):
        _refused(lambda query=query: bench.index.search(query, 1))  # type: ignore[misc]  # bound at once
    bench.check(good, 5)


def _refused(act: Callable[[], object]) -> None:
    try:
        act()
    except InvalidVector:
        return
    raise AssertionError("what is no vector was taken")


def _follows(bench: Bench, recall: float) -> None:
    one, two, three, query = random_vectors(4)
    bench.change({1: one, 2: two, 3: three})
    bench.check(query, 2, recall=recall)
    bench.change({2: three})
    bench.check(three, 3, recall=recall)
    bench.change({}, [1, 99])
    bench.check(one, 3, recall=recall)
    bench.change({1: one}, [2])
    bench.check(one, 3, recall=recall)
    bench.change({}, [1, 3])
    bench.check(one, 3, recall=recall)


def _filters(bench: Bench, recall: float) -> None:
    *many, query = random_vectors(201)
    bench.change(dict(enumerate(many)))
    for among in ((), (5,), (7, 1000), range(0, 200, 3), range(500)):
        bench.check(query, 10, tuple(among), recall=recall)


def _comes_back(bench: Bench, recall: float) -> None:
    *many, query = random_vectors(301)
    bench.change(dict(enumerate(many)))
    bench.reopen()
    bench.check(query, 20, recall=recall)
    bench.change({}, range(0, 100, 2))
    bench.change({500: query})
    bench.reopen(saved=False)  # the file is stale now
    bench.check(query, 20, recall=recall)
    bench.index.save()
    for path in sorted(bench.folder.glob("*")) if bench.folder.is_dir() else []:
        for damaged in _damages(path.read_bytes()):
            path.write_bytes(damaged)
            bench.reopen(saved=False)
            bench.check(query, 20, recall=recall)
    bench.index.rebuild()
    bench.check(query, 20, recall=recall)


def _damages(whole: bytes) -> Iterator[bytes]:
    """*whole* cut off, and with single bits turned."""
    yield from (b"", whole[:10], whole[: len(whole) // 2], whole[:-1], whole + b"\0")
    rng = Random(1)
    for _ in range(40):
        place = rng.randrange(len(whole))
        yield whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :]


def check_against_model(
    driver: str, folder: Path, options: Mapping[str, Any] | None = None, *,
    recall: float = 1.0, examples: int = 25,
) -> None:  # fmt: skip
    """Any sequence of changes, searches and restarts finds what a plain comparison finds.

    Raises:
        AssertionError: it found something else; hypothesis shows the shortest sequence.
    """
    import numpy as np
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    numbers = st.integers(-8, 8).map(lambda n: n / 4)
    vector = st.lists(numbers, min_size=4, max_size=4)
    packed = vector.map(lambda row: np.array(row, "<f4").tobytes())
    ids = st.integers(0, 30)
    step = st.one_of(
        st.tuples(st.just("change"), st.dictionaries(ids, packed, max_size=12), st.sets(ids)),
        st.tuples(st.just("search"), packed, st.integers(0, 40), st.none() | st.sets(ids)),
        st.tuples(st.just("reopen"), st.booleans()),
    )
    count = iter(range(10**9))

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck),
        database=None, derandomize=True,
    )  # fmt: skip
    @given(st.lists(step, max_size=30))
    def follows(steps: list[Any]) -> None:
        bench = Bench(driver, folder / f"model{next(count)}", options or {}, dimension=4)
        try:
            for kind, *rest in steps:
                if kind == "change":
                    bench.change(rest[0], rest[1] - rest[0].keys())
                elif kind == "search":
                    query, limit, among = rest
                    bench.check(query, limit, among, recall)
                else:
                    bench.reopen(saved=rest[0])
        finally:
            bench.close()

    follows()


def check_many(
    driver: str, folder: Path, options: Mapping[str, Any] | None = None, *,
    count: int = 100_000, dimension: int = 64, recall: float = 1.0,
) -> None:  # fmt: skip
    """*count* vectors are found, also after a restart, and after some are gone.

    Raises:
        AssertionError: they are not.
    """
    bench = Bench(driver, folder, options or {}, dimension)
    try:
        *many, query = random_vectors(count + 1, dimension)
        bench.change(dict(enumerate(many)))
        bench.check(query, 10, recall=recall)
        bench.reopen()
        bench.change({count: query}, range(0, count, count // 100))
        bench.check(query, 100, recall=recall)
        bench.check(query, 10, range(0, count, 3), recall=recall)
    finally:
        bench.close()


def check_kills(
    driver: str, folder: Path, options: Mapping[str, Any] | None = None, *,
    kills: int = 4, recall: float = 1.0,
) -> None:  # fmt: skip
    """SIGKILL at any moment of changing and saving leaves an index that finds what is true.

    Raises:
        AssertionError: it does not.
    """
    rng = Random(7)
    (query,) = random_vectors(1)
    for seed in range(kills):
        command = [sys.executable, "-c", CHILD, driver, str(folder)]
        command += [json.dumps(dict(options or {})), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 30)):
                assert process.stdout.readline(), "the child ended by itself"
            process.send_signal(signal.SIGKILL)
        bench = Bench(driver, folder, options or {})
        try:
            assert bench.truth.vectors()
            bench.check(query, 20, recall=recall)
        finally:
            bench.close()


def change_forever(driver: str, folder: str, options: str, seed: str) -> None:
    """In a process that is killed: add, remove and save at random, and print a line for each."""
    rng = Random(int(seed))
    bench = Bench(driver, Path(folder), json.loads(options))
    many = random_vectors(1000, seed=int(seed))
    while True:
        added = {rng.randrange(500): rng.choice(many) for _ in range(rng.randrange(20))}
        removed = {rng.randrange(500) for _ in range(rng.randrange(10))} - added.keys()
        bench.change(added, removed)
        if rng.random() < 0.3:
            bench.index.save()
        sys.stdout.write("changed\n")
        sys.stdout.flush()
