"""What was answered is there after a restart, a kill, another version, a broken file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from loom.contracts import ContextItem, PlanRecord
from loom_kernel import LoomError
from loom_plugin_memory.store import FILE, Store

from plugins.memory.tests.conftest import Start, memory_of

KEEPER = Path(__file__).with_name("keeper.py")
LIVES = 40 if os.environ.get("LOOM_TEST_LONG") else 4


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
@pytest.mark.feature("STO-01")
@pytest.mark.feature("STO-02")
async def test_all_is_there_after_a_restart(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        name = await memory.save_plan(PlanRecord(subject="BTC", action="BUY"))
        await memory.append_event("the customer wants invoices as PDF")
        await memory.save_context([ContextItem(text="hello", metadata={"role": "user"})])
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        assert [plan.plan_hash for plan in await memory.recent_plans()] == [name]
        assert (await memory.check_duplicate(PlanRecord(subject="BTC", action="BUY"))).duplicate
        assert [item.text for item in await memory.query_context()] == ["hello"]
        (found, *_) = await memory.retrieve("preferred invoicing format")
        assert found.text == "the customer wants invoices as PDF"


def killed_again_and_again(state: Path) -> int:
    """Let a process remember, and kill it; the last number that it was sure of."""
    rng = Random(5)
    last = 0
    for _ in range(LIVES):
        command = [sys.executable, str(KEEPER), str(state), str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 12)):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
    return last


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
@pytest.mark.feature("STO-01")
@pytest.mark.reliability("R1")
async def test_what_was_answered_survives_any_kill(life: Start, tmp_path: Path) -> None:
    last = killed_again_and_again(tmp_path / "state")
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        events = await memory.retrieve("", 100)
        said = {item.metadata["n"] for item in events if item.text.endswith("was done")}
        assert said >= {str(n) for n in range(1, last + 1)}
        for number in range(1, last + 1):
            done = await memory.check_executed(f"p{number}")
            assert done is not None
            assert done.reference == str(number)
        assert len(await memory.query_context()) == 1
        (best, *_) = await memory.retrieve(f"is step{last} done")
        assert best.text == f"step{last} was done"
    with sqlite3.connect(tmp_path / "state/plugins/memory" / FILE) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        missing = "SELECT count(*) FROM text LEFT JOIN vector USING (id) WHERE data IS NULL"
        assert db.execute(missing).fetchone() == (0,)
    db.close()


def test_a_newer_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 2")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(LoomError, match="newer Loom"):
        Store(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_file_that_is_none_is_named_and_left(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, and long enough to be read as one" * 20)
    with pytest.raises(LoomError, match=r"memory\.db cannot be read"):
        Store(tmp_path)
    assert (tmp_path / FILE).read_bytes().startswith(b"this is no database")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(LoomError, match="another process"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Store(tmp_path / "memory").close()
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "memory" / FILE).stat().st_mode & 0o777 == 0o600


def test_a_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    insert = "INSERT INTO session (owner, name) VALUES ('a', 'b')"

    def add(*statements: str) -> None:
        with store.transaction() as db:
            for statement in statements:
                db.execute(statement)

    with pytest.raises(LoomError, match="not written"):
        add(insert, insert)
    with pytest.raises(LoomError, match="not written"):
        add(insert, "no statement")
    assert store.connection.execute("SELECT count(*) FROM session").fetchone() == (0,)
    add(insert)
    assert store.connection.execute("SELECT count(*) FROM session").fetchone() == (1,)
    store.close()
