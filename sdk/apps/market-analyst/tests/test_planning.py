from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_analyst.orders import SWITCH, is_stale, order_of, size_of, why_not
from market_analyst.planning import (
    Decision,
    Plan,
    by_rules,
    from_answer,
    make_plan,
    plan_hash,
    without_repeat,
)
from market_analyst.rounds import Round
from market_analyst.settings import ExecutorSettings
from market_analyst.thinking import object_in

PRICE = {"price": 91_500.5, "instrument": "BTC-USDT", "source": "live", "change_percent": 1.0}
BUY = Decision("BUY", 0.75, "it rises")
ON = ExecutorSettings(enable_trading=True)


def a_round(moment: int = 600_000, series: int = 1) -> Round:
    return Round("BTC", series, moment, 9.0, dict(PRICE), {"trend": {}, "risk": {}}, [])


def analyses(trend: str, risk: float, mood: str) -> dict[str, dict[str, Any]]:
    return {
        "trend": {"trend": trend},
        "risk": {"risk_score": risk},
        "sentiment": {"sentiment": mood},
    }


@pytest.mark.parametrize(
    ("trend", "risk", "mood", "action", "confidence"),
    [
        ("up", 0.49, "bullish", "BUY", 0.75),
        ("up", 0.49, "neutral", "BUY", 0.75),
        ("up", 0.49, "bearish", "HOLD", 0.50),
        ("up", 0.50, "bullish", "HOLD", 0.50),
        ("up", 0.71, "bullish", "HOLD", 0.60),
        ("down", 0.10, "bullish", "HOLD", 0.60),
        ("sideways", 0.10, "bullish", "HOLD", 0.50),
        ("unknown", 0.10, "bullish", "HOLD", 0.50),
    ],
)
def test_the_rules(trend: str, risk: float, mood: str, action: str, confidence: float) -> None:
    decision = by_rules(analyses(trend, risk, mood))
    assert (decision.action, decision.confidence) == (action, confidence)


def test_a_missing_opinion_never_speaks_for_buying() -> None:
    known = analyses("up", 0.1, "bullish")
    assert by_rules({k: v for k, v in known.items() if k != "risk"}).action == "HOLD"
    assert by_rules({k: v for k, v in known.items() if k != "trend"}).action == "HOLD"
    assert by_rules({k: v for k, v in known.items() if k != "sentiment"}).action == "BUY"


@pytest.mark.feature("APP-03")
def test_the_same_action_within_the_time_is_hold() -> None:
    last = {"action": "BUY", "price_ms": 300_001, "series": 1}
    held = without_repeat(BUY, a_round(), last, 300)
    assert held.action == "HOLD"
    assert held.confidence == pytest.approx(0.55)
    assert "planned 300 s ago" in held.reasoning
    unsure = without_repeat(Decision("BUY", 0.4, ""), a_round(), last, 300)
    assert unsure.confidence == 0.3


@pytest.mark.parametrize(
    "last",
    [
        None,
        {"action": "SELL", "price_ms": 599_999, "series": 1},
        {"action": "BUY", "price_ms": 300_000, "series": 1},
        {"action": "BUY", "price_ms": 599_999, "series": 0},
    ],
)
def test_another_action_a_later_or_another_feed_is_none(last: dict[str, Any] | None) -> None:
    assert without_repeat(BUY, a_round(), last, 300) == BUY


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"action": "GO ALL IN", "confidence": 1, "reasoning": ""},
        {"action": "BUY", "confidence": 1.5, "reasoning": ""},
        {"action": "BUY", "confidence": "high", "reasoning": ""},
        {"action": "BUY", "confidence": 0.9},
    ],
)
def test_an_answer_that_is_no_decision_is_not_taken(answer: dict[str, Any] | None) -> None:
    assert from_answer(answer) is None


def test_a_decision_is_found_in_what_a_model_wrote() -> None:
    text = 'Sure!\n```json\n{"action": "SELL", "confidence": 0.9, "reasoning": "{why}"}\n```'
    assert from_answer(object_in(text)) == Decision("SELL", 0.9, "{why}")
    assert object_in("no object } { here") is None
    assert object_in("{" * 100_000 + "}") is None


@pytest.mark.feature("APP-04")
def test_the_hash_is_that_of_the_decision() -> None:
    plan = make_plan(a_round(), BUY, "rules", 1000.0)
    later = make_plan(a_round(), Decision("BUY", 0.75, "other words"), "rules", 2000.0)
    assert plan.plan_hash == later.plan_hash == plan_hash(plan)
    changes: dict[str, Any] = {
        "action": "SELL", "confidence": 0.76, "symbol": "ETH", "price_ms": 1, "series": 2,
        "price": 1.0, "feed": "recorded", "complete": True, "method": "model", "sources": ["risk"],
        "instrument": "ETH-USDT",
    }  # fmt: skip
    others = [msgspec.structs.replace(plan, **{name: value}) for name, value in changes.items()]
    assert len({plan_hash(other) for other in [plan, *others]}) == len(changes) + 1
    unhashed = {"plan_hash", "reasoning", "timestamp_ms"}
    assert set(Plan.__struct_fields__) == {*changes, *unhashed}


@pytest.mark.feature("APP-04")
@pytest.mark.parametrize(
    ("confidence", "size"), [(0.0, 10), (0.5, 10), (0.75, 30), (0.9, 42), (1.0, 50)]
)
def test_the_size_of_an_order(confidence: float, size: float) -> None:
    assert size_of(confidence, ExecutorSettings()) == size


@given(st.floats(0, 1), st.floats(0, 1))
def test_sizes_stay_in_their_bounds_and_grow(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 10 <= size_of(low, ON) <= size_of(high, ON) <= 50


@pytest.mark.feature("APP-04")
def test_trading_takes_two_switches_and_real_prices() -> None:
    plan = make_plan(a_round(), BUY, "rules", 1000.0)
    assert why_not(plan, ON, {SWITCH: "yes"}) == ""
    assert "enable_trading" in why_not(plan, ExecutorSettings(), {SWITCH: "yes"})
    for value in ({}, {SWITCH: ""}, {SWITCH: "no"}, {SWITCH: "1"}, {SWITCH: "YES"}):
        assert SWITCH in why_not(plan, ON, value)
    recorded = msgspec.structs.replace(plan, feed="recorded")
    assert "recording" in why_not(recorded, ON, {SWITCH: "yes"})


def test_old_plans_and_those_of_the_future_are_stale() -> None:
    plan = make_plan(a_round(), BUY, "rules", 1000.0)
    assert [is_stale(plan, now, ON) for now in (939.0, 1000.0, 1060.0, 1060.1)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_an_order_carries_the_hash_of_its_plan() -> None:
    plan = make_plan(a_round(), BUY, "rules", 1000.0)
    assert order_of(plan, 30.0) == {
        "symbol": "BTC-USDT", "side": "buy", "size_usdt": 30.0,
        "client_order_id": plan.plan_hash[:32],
    }  # fmt: skip
