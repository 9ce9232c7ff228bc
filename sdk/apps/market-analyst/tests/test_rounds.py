from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_analyst.rounds import KINDS, MOST_OPEN, Rounds

NONE: frozenset[str] = frozenset()


def said(moment: int, symbol: str = "BTC", series: int = 1) -> dict[str, Any]:
    price = {"price": 1.0, "instrument": f"{symbol}-USDT", "source": "recorded"}
    return {
        "symbol": symbol, "series": series, "timestamp_ms": moment, "price": price,
        "analysis": {"trend": "up"},
    }  # fmt: skip


@pytest.mark.feature("APP-03")
def test_three_of_three_are_complete_and_two_are_enough() -> None:
    rounds = Rounds({})
    assert (one := rounds.add("trend", said(1), 9.0, NONE)) is not None
    assert not rounds.is_enough(one)
    assert (two := rounds.add("risk", said(1), 9.5, frozenset({"untrusted"}))) is not None
    assert rounds.is_enough(two)
    assert not two.is_complete
    assert two.missing == ["sentiment"]
    assert two.deadline == 9.0, "the time runs from the first one on"
    assert (three := rounds.add("sentiment", said(1), 9.5, NONE)) is not None
    assert three.is_complete
    assert three.labels == ["untrusted"]
    assert not Rounds({}, "complete").is_enough(two)


def test_the_same_analysis_twice_counts_once() -> None:
    rounds = Rounds({})
    rounds.add("trend", said(1), 9.0, NONE)
    again = rounds.add("trend", said(1), 9.0, NONE)
    assert again is not None
    assert len(again.analyses) == 1
    with pytest.raises(ValueError, match="gossip"):
        rounds.add("gossip", said(1), 9.0, NONE)


def test_symbols_and_prices_are_kept_apart() -> None:
    rounds = Rounds({})
    for symbol in ("BTC", "ETH"):
        for moment in (1, 2):
            rounds.add("trend", said(moment, symbol), 9.0, NONE)
    assert sorted(waiting.key for waiting in rounds) == ["BTC/1/1", "BTC/1/2", "ETH/1/1", "ETH/1/2"]


def test_what_was_decided_stays_decided_and_what_is_older_is_over() -> None:
    state: dict[str, Any] = {}
    rounds = Rounds(state)
    rounds.add("trend", said(1), 9.0, NONE)
    newer = rounds.add("trend", said(2), 9.0, NONE)
    assert newer is not None
    assert [older.timestamp_ms for older in rounds.settle(newer)] == [1]
    again = Rounds(json.loads(json.dumps(state)))
    assert again.add("risk", said(2), 9.0, NONE) is None
    assert again.add("risk", said(1), 9.0, NONE) is None
    assert again.add("risk", said(3), 9.0, NONE) is not None
    assert again.add("risk", said(1, series=2), 9.0, NONE) is not None, "the feed began anew"


def test_the_rounds_that_wait_are_bounded() -> None:
    rounds = Rounds({})
    for moment in range(MOST_OPEN):
        rounds.add("trend", said(moment), 9.0, NONE)
    assert rounds.oldest_beyond_limit() is None
    rounds.add("trend", said(MOST_OPEN), 9.0, NONE)
    crowded = rounds.oldest_beyond_limit()
    assert crowded is not None
    assert crowded.timestamp_ms == 0


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5)), max_size=60))
def test_no_order_of_analyses_decides_on_a_price_twice(told: list[tuple[str, int]]) -> None:
    rounds, decided = Rounds({}), []
    for kind, moment in told:
        current = rounds.add(kind, said(moment), 9.0, NONE)
        if current is not None and current.is_complete:
            for older in rounds.settle(current):
                rounds.drop(older)
            decided.append(moment)
    assert decided == sorted(set(decided))
    assert all(waiting.timestamp_ms > max(decided, default=-1) for waiting in rounds)
