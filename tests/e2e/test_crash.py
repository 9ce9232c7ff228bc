"""The desk is killed in the middle of its reports, and finishes them after it: once each."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.feature("X-05"), pytest.mark.feature("X-06")]
LOOM = str(Path(sys.executable).with_name("loom"))
DESK = Path(__file__).resolve().parents[2] / "sdk" / "apps" / "desk"
NAMES = ("owl", "fox", "elk", "bee", "cod", "emu")
TEXT = "# The {0}\n\n" + "The {0} lives here. It is not seen by day. Nobody has counted it.\n" * 40


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    app = tmp_path / "desk"
    shutil.copytree(DESK, app, ignore=shutil.ignore_patterns(".loom", "tests", "__pycache__"))
    for file in (app / "inbox").iterdir():
        file.unlink()
    return app


@contextmanager
def running(app: Path, end: signal.Signals) -> Iterator[None]:
    topics = 'plugins.journal.topics=["report.>"]'
    command = [LOOM, "run", str(app), "--set", topics]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "ready" in line:
                    break
            yield
        finally:
            os.kill(process.pid, end)
            process.communicate(timeout=30)


def loom(app: Path, *words: str) -> Any:
    done = subprocess.run(
        [LOOM, *words, "--json"], cwd=app, capture_output=True, text=True, timeout=60, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def events(app: Path, topic: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = loom(app, "events", "--topic", topic)
    return found


def drop(app: Path, name: str) -> None:
    (app / "inbox" / f"{name}.md").write_text(TEXT.format(name))


def wait_for(app: Path, topic: str, count: int) -> None:
    for _ in range(120):
        if len(events(app, topic)) >= count:
            return
    raise AssertionError(f"{len(events(app, topic))} of {count} events on {topic}")


@pytest.mark.reliability("R1")
def test_reports_are_finished_once_and_the_night_can_be_looked_at_again(
    desk: Path, tmp_path: Path
) -> None:
    for number, topic in enumerate(("document.planned", "document.researched", "report.written")):
        with running(desk, signal.SIGKILL):
            for name in NAMES[2 * number : 2 * number + 2]:
                drop(desk, name)
            wait_for(desk, topic, 2 * number + 1)
    with running(desk, signal.SIGTERM):
        wait_for(desk, "report.written", len(NAMES))
        assert loom(desk, "dlq", "list") == [[]]
        assert loom(desk, "journal", "unknown") == [[]]
    written = [event["data"]["path"] for event in events(desk, "report.written")]
    assert sorted(written) == sorted(f"{name}.md" for name in NAMES), "each once"
    for name in NAMES:
        report = (desk / "inbox" / f"{name}.report.md").read_text()
        assert name in report
    run = tmp_path / "night.jsonl"
    loom(desk, "record", "-o", str(run))
    first, second = loom(desk, "replay", str(run)) + loom(desk, "replay", str(run))
    assert first["same"]
    assert first["digest"] == second["digest"]
    loom(desk, "test-from", str(run))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
