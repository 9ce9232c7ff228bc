"""The file: what was written is read, what was not is found out."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom_kernel import LoomError
from loom_plugin_journal.proof import SEGMENT
from loom_plugin_journal.records import Append, Batch, JournalDamaged
from loom_plugin_journal.sqlite import FILE, SqliteStore

BODIES = [os.urandom(40) for _ in range(50)]


def fill(store: SqliteStore, count: int, group: int = 500) -> None:
    for start in range(0, count, group):
        batch = Batch()
        for number in range(start, min(start + group, count)):
            body = BODIES[number % len(BODIES)] + str(number).encode()
            batch.appends.append(Append("a.b", body, float(number)))
        batch.values["meta", "count"] = str(start).encode()
        store.commit(batch)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path, ballast=1 << 16)


@pytest.mark.feature("STO-03")
def test_records_have_a_gapless_order_and_are_read_as_they_were_written(
    tmp_path: Path, store: SqliteStore
) -> None:
    fill(store, 1234)
    assert (store.first, store.last) == (1, 1234)
    store.close()
    again = SqliteStore(tmp_path)
    found = again.read(1, 5000)
    assert [record.sequence for record in found] == list(range(1, 1235))
    assert found[99].body == BODIES[49] + b"99"
    assert again.verify() == 1234
    again.close()


SHORT = """
import os, sys
from pathlib import Path
from loom_plugin_journal import Append, Batch, SqliteStore

store = SqliteStore(Path(sys.argv[1]), ballast=0, checkpoint=1 << 20)
batch = Batch()
batch.appends += [Append("a", os.urandom(7_000), 0.0) for _ in range(100)]
store.commit(batch)
os.kill(os.getpid(), 9)
"""


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R1")
def test_the_file_does_not_grow_for_ever_if_each_process_is_killed_soon(tmp_path: Path) -> None:
    """None of them writes enough to write the log back; the next one does it."""
    for _ in range(10):
        done = subprocess.run([sys.executable, "-c", SHORT, str(tmp_path)], check=False, timeout=60)
        assert done.returncode == -9
    assert (tmp_path / f"{FILE}-wal").stat().st_size < 3 << 20
    store = SqliteStore(tmp_path, ballast=0)
    assert store.verify() == store.last == 1000
    store.close()


def test_a_key_that_was_used_gives_the_record_of_the_first_time(store: SqliteStore) -> None:
    receipts = []
    for body in (b"one", b"two", b"one again"):
        batch = Batch()
        key = "k1" if body != b"two" else "k2"
        batch.appends.append(Append("a", body, 0.0, "key", key))
        receipts += store.commit(batch)
    assert [(r.sequence, r.is_duplicate) for r in receipts] == [(1, False), (2, False), (1, True)]
    assert [record.body for record in store.read(1, 9)] == [b"one", b"two"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "remove", "forget"]),
            st.sampled_from(["a/1", "a/10", "a/2", "b/1", ""]),
            st.binary(max_size=8),
        ),
        max_size=30,
    )
)
@settings(max_examples=40, deadline=None)
def test_values_are_what_a_dictionary_would_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store, model = SqliteStore(folder, ballast=4096), {}
    for what, key, data in steps:
        batch = Batch()
        if what == "put":
            batch.values["s", key] = model[key] = data
        elif what == "remove":
            batch.values["s", key] = None
            model.pop(key, None)
        else:
            batch.removals.append(("s", key))
            model = {known: value for known, value in model.items() if not known.startswith(key)}
        store.commit(batch)
    assert store.scan("s") == sorted(model.items())
    assert store.scan("s", "a/1") == sorted(i for i in model.items() if i[0].startswith("a/1"))
    store.close()


@pytest.mark.feature("STO-03")
def test_old_segments_can_go_and_the_rest_still_proves_itself(
    tmp_path: Path, store: SqliteStore
) -> None:
    fill(store, 3 * SEGMENT + 10)
    assert store.trim(SEGMENT) == 0, "a segment goes as a whole or not at all"
    assert store.trim(2 * SEGMENT + 5) == 2 * SEGMENT
    assert store.first == 2 * SEGMENT + 1
    assert store.verify() == SEGMENT + 10
    store.close()
    again = SqliteStore(tmp_path)
    assert (again.first, again.verify()) == (2 * SEGMENT + 1, SEGMENT + 10)
    again.close()


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R4")
def test_every_flipped_bit_that_changes_something_is_found(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    store = SqliteStore(whole, ballast=4096)
    fill(store, 600)
    truth, values = store.read(1, 600), store.scan("meta")
    store.close()
    size = (whole / FILE).stat().st_size
    rng = random.Random(7)
    silent = []
    for number in range(150):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        place, bit = rng.randrange(size), 1 << rng.randrange(8)
        with (folder / FILE).open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ bit]))
        try:
            damaged = SqliteStore(folder, ballast=4096)
            try:
                damaged.verify()
                if damaged.read(1, 600) != truth or damaged.scan("meta") != values:
                    silent.append(place)
            finally:
                damaged.close()
        except LoomError:
            continue
        finally:
            shutil.rmtree(folder)
    assert silent == []


@pytest.mark.reliability("R4")
@pytest.mark.parametrize("sequence", [1, 300, 599])
def test_a_removed_or_changed_record_is_named(tmp_path: Path, sequence: int) -> None:
    store = SqliteStore(tmp_path, ballast=4096)
    fill(store, 600)
    store.close()
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("DELETE FROM record WHERE sequence = ?", (sequence,))
    with pytest.raises(JournalDamaged, match=f"records? {sequence}|{sequence} to"):
        SqliteStore(tmp_path).verify()


@pytest.mark.reliability("R4")
def test_a_tail_that_was_torn_off_leaves_whole_records(tmp_path: Path) -> None:
    """A power cut may leave any part of the write-ahead log; SQLite keeps the whole commits."""
    whole = tmp_path / "whole"
    store = SqliteStore(whole, ballast=4096)
    fill(store, 400, group=10)
    wal = whole / f"{FILE}-wal"
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)  # the store is open: this is what a power cut leaves
    store.close()
    size = (copy / wal.name).stat().st_size
    left = []
    for part in range(0, size, size // 12):
        folder = tmp_path / f"cut{part}"
        shutil.copytree(copy, folder)
        os.truncate(folder / wal.name, part)
        (folder / f"{FILE}-shm").unlink(missing_ok=True)
        if part < 40_000 and not _has_tables(folder):
            continue  # not even the tables were written: it begins anew
        again = SqliteStore(folder, ballast=4096)
        assert again.verify() == again.last
        assert again.last % 10 == 0, "never a part of a commit"
        left.append(again.last)
        again.close()
    assert left == sorted(left)
    assert left[-1] > 300


def _has_tables(folder: Path) -> bool:
    with sqlite3.connect(folder / FILE) as raw:
        return bool(raw.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.reliability("R23")
def test_what_a_newer_loom_wrote_is_refused_and_not_touched(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("PRAGMA user_version=2")
    raw.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(LoomError, match="written by a newer Loom"):
        SqliteStore(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.reliability("R25")
def test_two_cannot_have_it(tmp_path: Path, store: SqliteStore) -> None:
    with pytest.raises(LoomError, match="another process keeps the journal"):
        SqliteStore(tmp_path)


@pytest.mark.reliability("S18")
def test_nobody_else_may_read_it(tmp_path: Path, store: SqliteStore) -> None:
    fill(store, 10)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


@pytest.mark.feature("STO-03")
def test_a_snapshot_is_the_journal_of_one_moment(tmp_path: Path, store: SqliteStore) -> None:
    fill(store, 700)
    copy = tmp_path / "copy"
    copy.mkdir()
    store.snapshot(copy / FILE)
    fill(store, 50)
    with pytest.raises(FileExistsError):
        store.snapshot(copy / FILE)
    again = SqliteStore(copy)
    assert (again.last, again.verify()) == (700, 700)
    assert again.read(1, 700) == store.read(1, 700)
    again.close()
