"""R4 of the promises: the disk is full, and then it is not. Nothing is lost, and work can end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CROWDED = Path(__file__).parent / "disk" / "crowded.py"
BALLAST = 16 << 20
SMALL = "size=48m,mode=0700"


def live(state: Path, how: str, *before: str) -> dict[str, Any]:
    """What the process observed."""
    command = [*before, sys.executable, str(CROWDED), str(state), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def small_disk(folder: Path) -> tuple[str, ...] | None:
    """What starts a program that has *folder* on a file system of its own; None if none can be."""
    mount = f'mount -t tmpfs -o {SMALL} none "$0" && exec "$@"'
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    before = ("unshare", *user, "--mount", "sh", "-c", mount, str(folder))
    tried = subprocess.run([*before, "true"], capture_output=True, timeout=20, check=False)
    return before if tried.returncode == 0 else None


def check(found: dict[str, Any]) -> None:
    assert found["degraded"]
    assert found["refused"], "publishers are told"
    assert sorted(found["given"]) == sorted(found["accepted"]), "nothing lost, nothing twice"
    assert found["seen"] == len(found["accepted"]) + len(found["refused"]), "realtime goes on"
    assert found["accepted_again"], "without a restart"
    assert "error" not in found["verified"]


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R4")
def test_a_full_disk_refuses_publishers_and_lets_work_end(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    before = small_disk(state)
    if before is None:  # nobody may mount here: the test below is what can be proved
        check(live(state, "limit"))
        return
    found = live(state, "disk", *before)
    check(found)
    assert found["ballast"] == [BALLAST, 0, BALLAST], "given away, and kept anew"
    assert found["still_refused"], "what room there is belongs to what ends work"
    assert (found["behind"], found["in_hand"]) == (0, 0), "acknowledged on the full disk"
    assert found["records"] < len(found["accepted"]), "old records went on the full disk"


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R4")
def test_a_file_that_may_not_grow_is_like_a_failing_disk(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    check(live(state, "limit"))
