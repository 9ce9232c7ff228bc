"""R3: the disk fails at the k-th write, flush or truncation, for every k there is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loom_plugin_journal import SqliteStore

from tests.faults.disk.disk import build

FAULTY = Path(__file__).parent / "disk" / "faulty.py"
STEP = 1 if os.environ.get("LOOM_TEST_LONG") else 9
AWHILE = 40
"""Operations that fail in a row when the disk is away for a while."""


def lives(folder: Path, code: int, times: int, first: int) -> list[dict[str, Any]]:
    """What each life tells; the last one is the first without a failure."""
    command = [sys.executable, str(FAULTY), str(folder / "state")]
    done = subprocess.run(
        [*command, *map(str, (code, times, first, STEP))],
        env={**os.environ, "LD_PRELOAD": str(build(folder))},
        capture_output=True, text=True, timeout=500, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R3")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("code", "times", "first"),
    [(errno.EIO, 1, 1), (errno.EIO, AWHILE, 2), (errno.ENOSPC, 1, 3), (errno.ENOSPC, AWHILE, 4)],
)
def test_whatever_fails_nothing_accepted_is_lost(
    tmp_path: Path, code: int, times: int, first: int
) -> None:
    told = lives(tmp_path, code, times, first)
    assert not told[-1]["failed"], "the sweep went to the end"
    refusals = starts = 0
    for life in told:
        assert not life["problem"] or "StartRefused" in life["problem"], life
        starts += not life["problem"]
        refusals += bool(life["refused"])
        assert life["was_degraded"], "who is refused can see why in the health"
        assert sorted(life["seen"]) == sorted(life["accepted"] + life["refused"]), (
            "realtime goes on"
        )
        store = SqliteStore(tmp_path / "state" / str(life["k"]) / "plugins" / "journal", ballast=0)
        try:
            assert store.verify() == store.last
            written = [record.envelope().data for record in store.read(1, store.last)]
        finally:
            store.close()
        assert set(life["accepted"]) <= set(written)
        assert sorted(life["given"]) == sorted(written), "each that is written is delivered, once"
    assert starts > len(told) // 3
    assert refusals > 1, "failures were seen by publishers"
