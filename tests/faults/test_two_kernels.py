"""R25: one state folder, one kernel. Who comes second ends with exit code 3 and touches nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, wait_for

ROUNDS, AT_ONCE = (50, 20) if os.environ.get("LOOM_TEST_LONG") else (1, 4)


def contents(folder: Path) -> dict[str, tuple[str, float]]:
    """Every file of the journal: its digest, and when it was changed."""
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime)
        for file in folder.iterdir()
    }


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R25")
@pytest.mark.timeout(60 + 40 * ROUNDS)
def test_of_many_kernels_one_wins_and_the_others_touch_nothing(tmp_path: Path) -> None:
    config = '[plugins.journal]\ntopics = ["note"]\n'
    with Instance(tmp_path / "app", "journal", config=config) as app:
        for _ in range(ROUNDS):
            racing = [app.start("kernel", "--project", ".") for _ in range(AT_ONCE)]
            wait_for(lambda: sum(one.poll() is not None for one in racing) == AT_ONCE - 1, 60)  # noqa: B023  # called now
            assert sorted(str(one.poll()) for one in racing) == ["3"] * (AT_ONCE - 1) + ["None"]
            wait_for(lambda: app.status()["state"] == "ready")
            assert app.loom("publish", "note", '"kept"').returncode == 0
            assert app.loom("journal", "status").returncode == 0  # all is on the disk
            folder = app.state / "plugins" / "journal"
            before = contents(folder)
            second = app.loom("kernel", "--project", ".")
            assert second.returncode == 3
            assert "already runs" in second.stderr
            assert contents(folder) == before
            app.loom("down")
