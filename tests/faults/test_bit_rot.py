"""R5 of the plan, R4 in the journal's own tests: flipped bits and truncations of every file it has.

All that changes what would be read is found out, and named; a torn tail that nobody was promised
is let go; a Loom whose journal is damaged does not start.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from loom_kernel import LoomError
from loom_plugin_journal import FILE, Append, Batch, JournalDamaged, SqliteStore

from tests.e2e.instance import Instance

IS_LONG = bool(os.environ.get("LOOM_TEST_LONG"))
FLIPS, CUTS = (1000, 200) if IS_LONG else (120, 40)
RECORDS = 600
SPACES = ("meta", "consumer", "intent", "state")

pytestmark = [pytest.mark.feature("X-05"), pytest.mark.timeout(600)]


def fill(store: SqliteStore, start: int, count: int, *, flushed: bool = True) -> None:
    """Commits of ten records and three values each."""
    for at in range(start, start + count, 10):
        batch = Batch()
        for number in range(at, at + 10):
            batch.appends.append(Append(f"a.{number % 7}", b"body %d" % number * 5, float(number)))
        for space in SPACES[1:]:
            batch.values[space, f"of/{at % 50}"] = b"value %d" % at * 3
        batch.is_flushed = flushed
        store.commit(batch)


def content(store: SqliteStore) -> object:
    """All that can be read, each as it was written."""
    store.verify()
    return store.read(1, RECORDS * 2), [store.scan(space) for space in SPACES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    """The files of a journal that runs: a part is in the file, a part in the write-ahead log."""
    folder = tmp_path_factory.mktemp("whole")
    store = SqliteStore(folder / "first", ballast=4096)
    fill(store, 0, RECORDS // 2)
    store.close()
    store = SqliteStore(folder / "first", ballast=4096)
    fill(store, RECORDS // 2, RECORDS // 2)
    truth = content(store)
    shutil.copytree(folder / "first", folder / "copy")
    store.close()
    (folder / "copy" / f"{FILE}-shm").unlink()
    return folder / "copy", truth


@contextmanager
def copy_of(whole: Path, to: Path) -> Iterator[Path]:
    shutil.copytree(whole, to)
    yield to
    shutil.rmtree(to)


def is_silent(folder: Path, truth: object) -> bool:
    """Whether something else than the truth is read without a word."""
    try:
        store = SqliteStore(folder, ballast=4096)
        try:
            return content(store) != truth
        finally:
            store.close()
    except (LoomError, OSError):
        return False


@pytest.mark.reliability("R5")
@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal", "head"])
def test_every_flipped_bit_that_changes_something_is_found(
    tmp_path: Path, whole: tuple[Path, object], name: str
) -> None:
    random, silent = Random(5), []
    for number in range(96 if name == "head" else FLIPS):
        with copy_of(whole[0], tmp_path / str(number)) as folder:
            data = bytearray((folder / name).read_bytes())
            bit = number if name == "head" else random.randrange(len(data) * 8)
            data[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(data)
            if is_silent(folder, whole[1]):
                silent.append(bit)
    assert silent == []


@pytest.mark.reliability("R5")
@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal"])
def test_every_truncation_is_found(tmp_path: Path, whole: tuple[Path, object], name: str) -> None:
    size = (whole[0] / name).stat().st_size
    silent = []
    for length in range(0, size, max(1, size // CUTS)):
        with copy_of(whole[0], tmp_path / str(length)) as folder:
            os.truncate(folder / name, length)
            if is_silent(folder, whole[1]):
                silent.append(length)
    assert silent == []


@pytest.mark.reliability("R5")
def test_a_tail_that_nobody_was_promised_is_let_go(
    tmp_path: Path, whole: tuple[Path, object]
) -> None:
    """Commits without a flush, for background events: a power cut may take them."""
    with copy_of(whole[0], tmp_path / "live") as live:
        store = SqliteStore(live, ballast=4096)
        fill(store, RECORDS, 100, flushed=False)
        shutil.copytree(live, tmp_path / "torn")
        store.close()
    wal = tmp_path / "torn" / f"{FILE}-wal"
    os.truncate(wal, wal.stat().st_size - 100)
    (tmp_path / "torn" / f"{FILE}-shm").unlink()
    store = SqliteStore(tmp_path / "torn", ballast=4096)
    assert store.verify() == RECORDS + 90
    fill(store, RECORDS + 90, 10)
    assert store.verify() == RECORDS + 100
    store.close()


@pytest.mark.reliability("R5")
def test_a_lost_tail_that_was_promised_is_named(tmp_path: Path, whole: tuple[Path, object]) -> None:
    with copy_of(whole[0], tmp_path / "torn") as folder:
        os.truncate(folder / f"{FILE}-wal", (folder / f"{FILE}-wal").stat().st_size // 2)
        with pytest.raises(JournalDamaged, match=r"lost its newest \d+ commits, after record \d+"):
            SqliteStore(folder)
        (folder / "head").unlink()  # as the message says, for who put an older copy there
        SqliteStore(folder, ballast=4096).close()


@pytest.mark.reliability("R5")
def test_a_loom_whose_journal_is_damaged_does_not_start(tmp_path: Path) -> None:
    """Were the plugin left out instead, agents would run on and forget, and nobody would know."""
    with Instance(tmp_path / "app", "agents", "journal") as app:
        app.up()
        app.loom("down")
        folder = app.state / "plugins" / "journal"
        store = SqliteStore(folder)
        fill(store, 0, 100)
        store.close()
        with sqlite3.connect(folder / FILE) as raw:
            raw.execute("UPDATE record SET body = x'00' WHERE sequence BETWEEN 40 AND 50")
        raw.close()
        refused = app.loom("up")
        assert refused.returncode == 1
        assert "lets nothing start: record 40 is not what was written" in refused.stderr
        assert app.status()["state"] == "stopped"
        assert app.loom("up", "--without", "journal").returncode == 0, "on purpose it may"
