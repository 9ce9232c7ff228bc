"""The bench group `bridge`: its processes do what its figures say, and end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import environments
from tests.bench.bridge.rows import GROUPS
from tests.bench.bridge.scenarios import SCENARIOS
from tests.bench.bridge.systems import SYSTEMS
from tests.bench.cases import Plan, split
from tests.bench.environments import PEERS, ROOT, Peer, install_peers

pytestmark = pytest.mark.feature("BUS-13")


def measure(scenario: str, system: str, seconds: float) -> dict[str, float]:
    command = (sys.executable, "-m", "tests.bench.bridge", scenario, system, str(seconds))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("system", ["raw", "frames", "grpc", "websocket"])
def test_a_rate_counts_the_cpu_of_all_three_processes(system: str) -> None:
    figures = measure("events", system, 0.2)
    shares = [figures[f"{who}_us"] for who in ("publisher", "middle", "subscriber")]
    assert min(shares) > 0
    assert figures["rate"] == pytest.approx(1e6 / sum(shares))


@pytest.mark.parametrize("system", ["raw", "frames", "echo"])
def test_a_request_is_timed_to_its_reply(system: str) -> None:
    figures = measure("request", system, 0.2)
    assert 10 < figures["p50_us"] <= figures["p99_us"]


def test_many_requests_at_once_are_all_answered() -> None:
    assert measure("flight", "grpc", 0.2)["rate"] > 0


def test_in_the_ring_nothing_is_lost_when_links_fail() -> None:
    figures = measure("links", "python", 2.0)
    assert figures["faults"] > 20
    assert {name: figures[name] for name in ("lost", "doubled", "disordered", "unrepaired")} == {
        "lost": 0, "doubled": 0, "disordered": 0, "unrepaired": 0,
    }  # fmt: skip
    assert 0 < figures["p50_ms"] <= figures["p95_ms"] <= figures["slowest_ms"]


@pytest.mark.reliability("R13")
def test_a_killed_agent_is_timed_until_it_is_connected_again() -> None:
    figures = measure("kills", "loom", 0.2)
    assert 0 < figures["again_ms"] <= figures["slowest_ms"]


def test_a_failure_of_a_process_is_told_in_its_own_words() -> None:
    command = (sys.executable, "-m", "tests.bench.bridge", "events", "nats-py", "0.1")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "nats-server" in done.stderr.splitlines()[-1]


def test_every_row_has_a_measurement_or_a_reason(tmp_path: Path) -> None:
    rows = [row for group in GROUPS for row in group.rows]
    names = {name for row in rows for name in (row.case, row.limit) if name}
    plan = Plan(0.1, 1, tmp_path, "left out", dict.fromkeys(PEERS, tmp_path))
    cases, missing = split(plan, names)
    assert {case.name for case in cases} | missing.keys() == names
    assert set(missing.values()) <= {"there is no node"}
    systems = [case.command[-3] for case in cases if case.command[-4] in SCENARIOS]
    assert set(systems) <= SYSTEMS.keys()


def test_a_peer_that_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(environments.PEERS, "nobody", Peer("nobody", "no version", ""))
    said: list[str] = []
    (reason,) = install_peers(tmp_path, ["nobody"], said.append).values()
    assert str(reason).startswith("cannot be installed: ")
    assert "nobody no version cannot be installed and is left out: " in said[-1]
