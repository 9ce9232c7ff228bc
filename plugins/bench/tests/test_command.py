"""`loom bench` measures every row, each beside its limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loom_kernel.testing import check_plugin_contract
from loom_plugin_bench import Case, Goal, Measured, Row, measure, summarise

LOOM = Path(sys.executable).with_name("loom")
GROUPS = ["publishers", "qos", "fan-out", "filter", "match", "latency"]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOOM, "bench", "--quick", "--seconds", "0.02", *arguments],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip


@pytest.mark.anyio
async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("bench")


@pytest.mark.feature("BUS-13")
def test_every_row_is_measured_beside_its_limit() -> None:
    done = bench("--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    rows = report["rows"]
    assert list(dict.fromkeys(row["group"] for row in rows)) == GROUPS
    assert all(row["figure"][0] > 0 for row in rows)
    own = [row for row in rows if row["label"].startswith("Loom")]
    assert len(own) == 4 + 3 + 1 + 3 + 3 + 2
    for row in own:
        (limit,) = {one["figure"][0] for one in rows if one["case"] == row["limit"]
                    and one["metric"] == row["metric"]}  # fmt: skip
        assert row["compared"][0] == pytest.approx(row["figure"][0] / limit)


@pytest.mark.feature("BUS-13")
def test_the_table_is_for_people() -> None:
    done = bench()
    assert done.returncode == 0, done.stderr
    for title in ("Publishers", "Quality of service", "One to ten", "Filters", "Latency"):
        assert title in done.stdout
    assert "x of limit" in done.stdout
    assert "Loom, filtered by type" in done.stdout
    assert "CPython" in done.stdout


# -- the harness -----------------------------------------------------------------------------


def case(name: str, code: str) -> Case:
    return Case(name, (sys.executable, "-c", code))


def test_cases_take_turns_and_ratios_stay_inside_a_round() -> None:
    rounds = [{"rate": 4.0}, {"rate": 9.0}]
    slower = [{"rate": 2.0}, {"rate": 3.0}]
    results = {"limit": Measured(rounds), "own": Measured(slower)}
    summary = summarise(Row("own", "own", limit="limit", goal=Goal(0.4)), results)
    assert summary.figure == (2.5, 2.0, 3.0)
    assert list(summary.compared or ()) == pytest.approx([5 / 12, 1 / 3, 0.5])
    assert summary.verdict == "met"
    seen: list[tuple[int, str]] = []
    found = measure(
        [case("a", "print('{\"rate\": 1}')"), case("b", "print('{\"rate\": 2}')")],
        2,
        lambda turn, name: seen.append((turn, name)),
    )
    assert seen == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert found["b"].rounds == [{"rate": 2.0}, {"rate": 2.0}]


def test_a_case_that_fails_is_reported_with_its_reason_and_not_run_again() -> None:
    seen: list[int] = []
    found = measure(
        [case("broken", "raise OSError('no such peer')")], 3, lambda n, _: seen.append(n)
    )
    assert seen == [1]
    summary = summarise(Row("broken", "broken", goal=Goal(1.0)), found)
    assert (summary.verdict, summary.problem) == ("not measured", "OSError: no such peer")
    row = Row("own", "own", limit="broken", goal=Goal(1.0))
    summary = summarise(row, found | {"own": Measured([{"rate": 1.0}])})
    assert summary.verdict == "not measured"
    assert "no such peer" in summary.problem


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal(0.3, 0.4), 0.5, "aim met"),
        (Goal(0.3, 0.4), 0.35, "met"),
        (Goal(0.3, 0.4), 0.2, "missed"),
        (Goal(2.0, 1.6, "at most"), 1.5, "aim met"),
        (Goal(2.0, None, "at most"), 2.1, "missed"),
    ],
)
def test_a_goal_judges(goal: Goal, value: float, verdict: str) -> None:
    assert goal.judge(value) == verdict
