"""The benchmark suite runs, prints each row beside its limit, and its promises are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.environments import ROOT


def bench(tmp_path: Path, *arguments: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """Run the suite quickly; return what it printed and its rows by label."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--cache", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, "--json", str(report), *arguments], cwd=ROOT, env=dict(os.environ),
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
    return done.stdout, {row["label"]: row for row in rows}


@pytest.mark.feature("BUS-13")
def test_one_to_one_is_printed_beside_the_limit(tmp_path: Path) -> None:
    printed, rows = bench(tmp_path, "--only", "one-to-one")
    limit, own = rows["limit: deque in batches"], rows["Loom, everything on"]
    assert limit["figure"][0] > 0
    assert own["compared"][0] == pytest.approx(own["figure"][0] / limit["figure"][0])
    assert own["verdict"] in ("aim met", "met", "missed")
    lines = [line.split("  ") for line in printed.splitlines()]
    assert any(cells[0] == "Loom, everything on" and "/CPU-s" in " ".join(cells) for cells in lines)
    assert "x of limit" in printed


@pytest.mark.feature("BUS-13")
def test_a_peer_that_is_not_there_is_named_and_not_measured(tmp_path: Path) -> None:
    printed, rows = bench(tmp_path, "--only", "topics")
    assert rows["autogen-core 0.7.5"]["verdict"] == "not measured"
    assert rows["autogen-core 0.7.5"]["problem"] == "left out"
    assert "not measured: left out" in printed


@pytest.mark.feature("PRO-02")
def test_the_smallest_loom_keeps_its_promises(tmp_path: Path) -> None:
    _, rows = bench(tmp_path, "--only", "start")
    figures = {label: row["figure"][0] for label, row in rows.items()}
    assert figures["Loom, memory when ready"] < 40
    assert 0.5 < figures["Loom, installed"] < 8
    assert figures["Loom, installed"] < figures["Loom, installed and compiled"]
    # A machine under load is slow; what `make bench` reports is held against 200 ms.
    assert 0 < figures["Loom, start to ready"] < 4_000
    assert 0 < figures["python -c pass, CPU"] < figures["Loom, CPU"]
    memory = rows["Loom, peak memory"]
    assert memory["compared"][0] == pytest.approx(
        figures["Loom, peak memory"] - figures["limit: asyncio.run(noop), peak memory"]
    )


@pytest.mark.feature("RTE-07")
def test_learning_saves_and_a_decision_takes_no_time(tmp_path: Path) -> None:
    _, rows = bench(tmp_path, "--only", "router")
    figures = {label: row["figure"][0] for label, row in rows.items()}
    assert figures["Learning, cost saved (%)"] >= 30
    assert figures["Learning, quality kept (%)"] >= 99
    # As above: a machine under load is slow.
    assert 0 < figures["Loom, a decision, fixed policy, median (µs)"] < 1_000
