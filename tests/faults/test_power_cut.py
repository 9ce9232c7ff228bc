"""R2: power cuts. What was promised is there; the control run shows that the shim can tell.

A real process runs once, preloaded with the shim that writes down every change and every flush.
From that, any number of power cuts is made: at each, what was not flushed is lost, or a part of
it is kept, as disks do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec
import pytest
from loom_plugin_journal import SqliteStore

from tests.faults.disk.disk import MODES, Disk, Step, build, steps

TRADER = Path(__file__).parent / "disk" / "trader.py"
IS_LONG = bool(os.environ.get("LOOM_TEST_LONG"))
CUTS = 1000 if IS_LONG else 100
ROUNDS = 1500 if IS_LONG else 400
SYNC, SLACK = 1.0, 0.5
"""Seconds after which background events are safe, and those that a busy machine may take."""

pytestmark = pytest.mark.timeout(600)


@dataclass
class Promised:
    """What the process was promised before a cut."""

    orders: set[int] = field(default_factory=set)
    intents: set[int] = field(default_factory=set)
    ticks: dict[int, float] = field(default_factory=dict)
    now: float = 0.0

    def note(self, line: str) -> None:
        what, number, moment = line.split()
        self.now = float(moment)
        if what == "order":
            self.orders.add(int(number))
        elif what == "intent":
            self.intents.add(int(number))
        else:
            self.ticks[int(number)] = self.now

    def safe_ticks(self) -> set[int]:
        return {n for n, moment in self.ticks.items() if moment < self.now - SYNC - SLACK}


@dataclass
class Found:
    """What is lost of what was promised, over all cuts."""

    cuts: int = 0
    orders: int = 0
    intents: int = 0
    safe_ticks: int = 0
    ticks: int = 0

    def look(self, folder: Path, promised: Promised) -> None:
        """Open what a cut left, prove it, and hold it against what was promised."""
        self.cuts += 1
        store = SqliteStore(folder, ballast=0)
        try:
            assert store.verify() == store.last, "no hole"
            events = [record.envelope() for record in store.read(1, store.last)]
            orders = {e.data["number"] for e in events if e.topic == "order.placed"}
            ticks = [e.data["number"] for e in events if e.topic == "tick"]
            assert ticks == list(range(len(ticks))), "at most a suffix is lost"
            known = store.scan("intent")
            for _, data in store.scan("consumer"):
                assert msgspec.msgpack.decode(data)[2] <= store.last + 1
        finally:
            store.close()
        self.orders += len(promised.orders - orders)
        self.intents += len(promised.intents - {int(key.partition("/")[2]) for key, _ in known})
        self.ticks += len(promised.ticks.keys() - set(ticks))
        self.safe_ticks += len(promised.safe_ticks() - set(ticks))


def record(folder: Path, how: str) -> list[Step]:
    """All that one life of the process did to the disk."""
    state, log = folder / "state", folder / "log"
    environment = {
        **os.environ,
        "LD_PRELOAD": str(build(folder)),
        "LOOM_DISK_FOLDER": str(state / "plugins" / "journal"),
        "LOOM_DISK_LOG": str(log),
    }
    command = [sys.executable, str(TRADER), str(state), str(ROUNDS), how]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return list(steps(log.read_bytes()))


def cut(recording: list[Step], folder: Path) -> Found:
    """Cut the power CUTS times, at any step."""
    random, found = Random(11), Found()
    places = sorted(random.sample(range(len(recording)), CUTS))
    disk, promised = Disk(), Promised()
    for place, step in enumerate(recording):
        if step.path.endswith("/marks"):
            for line in step.data.decode().splitlines():
                promised.note(line)
        else:
            disk.follow(step)
        if found.cuts < CUTS and place == places[found.cuts]:
            left = folder / str(found.cuts)
            left.mkdir()
            disk.cut(left, MODES[found.cuts % len(MODES)], random)
            found.look(left, promised)
            shutil.rmtree(left)
    return found


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R2")
def test_a_power_cut_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    recording = record(tmp_path, "flushed")
    assert sum(step.path.endswith("journal.db") for step in recording) > 20, "checkpoints, too"
    found = cut(recording, tmp_path)
    assert (found.cuts, found.orders, found.intents, found.safe_ticks) == (CUTS, 0, 0, 0)
    assert found.ticks > 0, "what may be lost of background events is lost: the shim can tell"


@pytest.mark.reliability("R2")
def test_without_flushes_the_same_cuts_take_what_was_promised(tmp_path: Path) -> None:
    """The control: were nothing lost here, the test above would prove nothing."""
    found = cut(record(tmp_path, "careless"), tmp_path)
    assert found.orders > 0
    assert found.intents > 0
