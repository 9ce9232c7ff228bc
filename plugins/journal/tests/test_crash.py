"""SIGKILL at any moment: nothing that was accepted is lost, and nothing is counted twice."""

from __future__ import annotations

import ast
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import pytest
from loom_plugin_journal.queries import letters
from loom_plugin_journal.sqlite import SqliteStore

CLOCK = Path(__file__).with_name("clock.py")
SHOP = Path(__file__).with_name("shop.py")
LIVES = 1000 if os.environ.get("LOOM_TEST_LONG") else 6


@contextmanager
def shop(state: Path, last: int, what: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SHOP), str(state), str(last), what]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lines(process: subprocess.Popen[str]) -> Iterator[list[str]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.split()


@pytest.mark.feature("X-05")
@pytest.mark.feature("RT-06")
@pytest.mark.reliability("R1")
@pytest.mark.timeout(120 + 4 * LIVES)
def test_nothing_accepted_is_lost_or_counted_twice_however_often_it_is_killed(
    tmp_path: Path,
) -> None:
    rng = random.Random(3)
    accepted = 0
    for _ in range(LIVES):
        left = rng.randrange(1, 120)
        with shop(tmp_path, accepted + 1000, "work") as process:
            base = accepted
            for words in lines(process):
                if words[0] == "accepted":
                    accepted = int(words[1])
                    left -= 1
                if left == 0:
                    os.kill(process.pid, signal.SIGKILL)
                    break
            for words in lines(process):  # what it said before it was killed
                if words[0] == "accepted":
                    accepted = int(words[1])
        assert accepted > base
    with shop(tmp_path, 0, "drain") as process:
        assert process.stdout is not None
        report = next(line for line in process.stdout if line.startswith("idle"))
    _, clerk, driver = report.strip().split("|")
    seen, parcels = ast.literal_eval(clerk), ast.literal_eval(driver)
    store = SqliteStore(tmp_path / "plugins" / "journal")
    orders = [r.envelope().data["number"] for r in store.read(1, 10**6) if r.topic[:5] == "order"]
    assert accepted in orders, "the last that was accepted is there"
    assert len(orders) == len(set(orders))
    assert seen["sum"] == sum(orders), "what it knows and what it passed on are one"
    assert parcels["count"] == len(orders), "nothing was passed on twice, and nothing was not"
    chain = 0
    for number in orders:
        chain = crc32(str(number).encode(), chain)
    assert parcels["chain"] == chain, "each order exactly once, in its order"
    assert store.verify() == store.last
    store.close()


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R12")
def test_an_event_that_ends_the_process_each_time_is_put_aside(tmp_path: Path) -> None:
    for life in range(3):
        with shop(tmp_path, 0 if life == 0 else 100 * life, "poison") as process:
            for _ in lines(process):
                continue
            assert process.wait() == 9
    with shop(tmp_path, 0, "drain") as process:
        assert any(words[0].startswith("idle") for words in lines(process))
    store = SqliteStore(tmp_path / "plugins" / "journal")
    found = letters(store)
    store.close()
    assert [(letter.consumer, letter.crashes) for letter in found] == [("agent:clerk", 3)]
    assert found[0].summary()["topic"] == "order.placed"


@pytest.mark.feature("X-08")
@pytest.mark.feature("X-05")
def test_a_run_of_a_timer_that_was_cut_short_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    runs = []
    for life, code in (("first", 9), ("second", 0)):
        command = [sys.executable, str(CLOCK), str(tmp_path), life, at]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == code
        runs += done.stdout.splitlines()
    assert len(runs) == 1
    store = SqliteStore(tmp_path / "plugins" / "journal")
    written = [r.topic for r in store.read(1, 100) if r.topic.startswith("timer.")]
    store.close()
    assert written == ["timer.bell"], "the timer told it again, and it was recognised"
