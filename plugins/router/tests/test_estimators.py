"""Estimators of strangers: found by their entry point, bounded, and left alone if they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom.contracts import RouteRequest
from loom_plugin_router.estimators.question import QuestionEstimator
from stevedore import ExtensionManager

from plugins.router.tests.conftest import housed

CODE = """
from time import perf_counter


class Stranger:
    name = "stranger"

    def __init__(self, options):
        self.mood = options["mood"]

    def supports(self, event_type):
        if self.mood == "picky":
            raise RuntimeError("not today")
        return event_type != "video"

    def estimate(self, request):
        if self.mood == "angry":
            raise ValueError("no")
        end = perf_counter() + (0.03 if self.mood == "slow" else 0.0)
        while perf_counter() < end:
            pass
        return 0.99
"""


@pytest.fixture(autouse=True)
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with an estimator, installed for one test."""
    (tmp_path / "strange_estimator.py").write_text(CODE)
    metadata = tmp_path / "strange_estimator-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[loom.estimators]\nstranger = strange_estimator:Stranger\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})  # of earlier tests


@pytest.mark.anyio
@pytest.mark.feature("RTE-03")
@pytest.mark.parametrize(
    ("mood", "route", "told"),
    [("good", "local", ""), ("angry", "cloud", "failed"), ("slow", "cloud", "late"),
     ("picky", "cloud", "failed")],
)  # fmt: skip
async def test_a_strangers_estimator_decides_if_it_can(mood: str, route: str, told: str) -> None:
    settings: dict[str, Any] = {
        "estimators": ["stranger", "constant"],
        "estimating": {"stranger": {"mood": mood}, "constant": {"value": 0.3}},
    }
    async with housed(latency_budget_ms=9000, **settings) as house:
        routes = [house.decide("Prove it.").route for _ in range(4)]
        assert routes == [route] * 4
        health = house.runtime.health()["router"]
        assert health.healthy is (mood == "good")
        if told:
            assert health.metrics[f"estimators_{told}"] == 3, "then it is left alone"
            assert house.decide().confidence == 0.3, "and the next one is asked"
        assert house.decide(event_type="video").confidence == 0.3


@pytest.mark.feature("RTE-03")
def test_the_question_itself_says_how_hard_it_is() -> None:
    estimator = QuestionEstimator({})

    def sure(text: str, **details: object) -> float:
        found = {"text": text, "characters": len(text), **details}
        return estimator.estimate(RouteRequest("ada", details=found))

    easy, plain = sure("Translate this: good morning"), sure("Where is it?")
    hard = sure("Design a plan and prove why it works.")
    assert 1 >= easy > plain > hard >= 0
    assert sure("Where is it?", tools=5) < plain
    assert sure("Where is it? " * 500) < plain
    assert sure("Where is it?", past=0.0, past_count=20) < 0.3 < plain
    assert not estimator.supports("video_frame")
    assert 0 <= sure("```" * 9_000, tools=10_000, characters=10**12) <= 1
