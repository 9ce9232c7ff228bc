"""Figures and the bandit: what is learned, how fast, and what that saves."""

from __future__ import annotations

import pytest
from loom.testing.models import Answer
from loom_plugin_router.bandit import Bandit, features_of
from loom_plugin_router.figures import HALF_LIFE, Figure

from plugins.router.tests.conftest import THERE, housed
from plugins.router.tests.workload import replay


@pytest.mark.feature("RTE-07")
@pytest.mark.anyio
async def test_the_better_model_is_asked_more_and_more() -> None:
    better = {**THERE, "model": "better"}
    good = lambda asked: Answer("good" if asked.body["model"] == "better" else "bad")  # noqa: E731
    share: list[int] = []
    async with housed(
        there=good, sure=0.3, local=False, llm={"better": better}, learning=True,
        latency_budget_ms=60_000,
    ) as house:  # fmt: skip
        for number in range(60):
            answer = await house.think(f"Question {number}")
            share.append(answer["endpoint"] == "better")
            judged = {
                "decision": answer["decision"]["id"],
                "quality": 0.9 if answer["content"] == "good" else 0.3,
            }
            await house.call(judged, "router:rate")
    assert sum(share[-20:]) > sum(share[:20])
    assert sum(share[-20:]) >= 18


@pytest.mark.feature("RTE-07")
@pytest.mark.anyio
async def test_what_is_learned_never_lifts_a_limit() -> None:
    async with housed(sure=0.3, learning=True, latency_budget_ms=60_000) as house:
        for _ in range(30):  # elsewhere is better, over and over
            decision = house.decide()
            quality = 1.0 if decision.endpoint == "large" else 0.0
            house.router.learn(decision, ms=10, cost=0.0, quality=quality)
        assert house.decide().endpoint == "large"
        assert house.decide(privacy="local-only").endpoint == "small"
        assert house.decide(privacy="private").endpoint == "small"
        assert house.decide(cost_cap=0.0).endpoint == "small"
        assert house.decide(latency_ms=1).endpoint == "small"


@pytest.mark.feature("RTE-07")
@pytest.mark.parametrize("seed", range(5))
def test_a_replayed_workload_is_answered_as_well_for_far_less(seed: int) -> None:
    found = replay(seed, 4_000)
    assert found.quality >= found.best_quality - 0.01, "as good as the best model"
    assert found.saved >= 0.30, "for at least 30 % less"
    assert found.late_regret < 0.01, "and little is left to learn"


@pytest.mark.feature("RTE-07")
def test_a_judgement_that_comes_late_undoes_what_was_learned() -> None:
    early, late = Bandit(), Bandit()
    question = features_of(0.5, 100, 0)
    early.learn("x", question, 0.2)
    late.learn("x", question, 1.0)
    late.correct("x", question, -0.8)
    assert late.arms["x"].weights == pytest.approx(early.arms["x"].weights)


@pytest.mark.feature("RTE-03")
def test_what_was_measured_long_ago_counts_less() -> None:
    figure = Figure()
    assert figure.now(100.0, 5.0) == 100.0
    for _ in range(50):
        figure.measure(900.0, 100.0, 10.0)
    assert figure.now(100.0, 10.0) == pytest.approx(900.0, rel=0.01)
    assert figure.now(100.0, 10.0 + HALF_LIFE) == pytest.approx(500.0, rel=0.01)
    assert figure.now(100.0, 10.0 + 20 * HALF_LIFE) == pytest.approx(100.0, rel=0.01)
