"""R12: events that raise, hang, end or crash their process, or eat its memory.

Each ends as a dead letter after its tries, its neighbours do not notice, and the accounts add up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loom_plugin_journal import SqliteStore, letters

VICTIM = Path(__file__).parent / "disk" / "victim.py"
KINDS = ("fine", "raise", "hang", "exit", "segfault", "memory", "reject")
CRASHES, FAILURES = 2, 2

pytestmark = [pytest.mark.feature("X-05"), pytest.mark.reliability("R12")]


def live(state: Path) -> dict[str, Any] | None:
    """One life of the process; what it reports if it reaches its end."""
    done = subprocess.run(
        [sys.executable, str(VICTIM), str(state), *KINDS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    report: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return report


def test_every_kind_of_poison_is_put_aside_and_the_accounts_add_up(tmp_path: Path) -> None:
    reports = [live(tmp_path) for _ in range(3 * CRASHES)]
    assert reports == [None] * len(reports), "each that ends the process does so as often as it may"
    report = live(tmp_path)
    assert report is not None, "and then no more"
    store = SqliteStore(tmp_path / "plugins" / "journal")
    found = {one.summary()["topic"]: one for one in letters(store) if one.consumer == "victim"}
    numbers = {name: [one.consumer for one in letters(store)].count(name) for name in report}
    events = store.last
    store.close()
    assert set(found) == {f"event.{kind}" for kind in KINDS if kind != "fine"}
    tries = {topic[6:]: (one.failures, one.crashes) for topic, one in found.items()}
    assert tries == {
        "raise": (FAILURES, 0), "hang": (FAILURES, 0), "reject": (0, 0),
        "exit": (0, CRASHES), "segfault": (0, CRASHES), "memory": (0, CRASHES),
    }  # fmt: skip
    assert found["event.hang"].error == "HandlerTimeout"
    assert events == 2 * len(KINDS)
    for name in ("victim", "neighbour"):
        handled = set(map(tuple, report[name]))
        assert len(handled) + numbers[name] == events, f"{name}: each event has one end"
    assert numbers["neighbour"] == 0, "neighbours are not affected"
