"""The indicators against figures worked out by hand, and against what must hold for any prices."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_analyst.indicators import (
    exponential_average,
    log_returns,
    relative_strength,
    simple_average,
    spread,
)
from market_analyst.risk import find_risk, max_drawdown, moving_volatility, value_at_risk
from market_analyst.settings import RiskSettings, TrendSettings
from market_analyst.trend import find_trend, needed

PRICES = st.lists(st.floats(0.01, 1e6), min_size=40, max_size=80)
TREND, RISK = TrendSettings(), RiskSettings()
CLOSES = [
    44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61,
    46.28, 46.28, 46.00,
]  # fmt: skip


def test_the_simple_average_is_that_of_the_newest() -> None:
    assert simple_average([100.0, 1.0, 2.0, 6.0], 3) == 3.0


def test_the_exponential_average_by_hand() -> None:
    # It begins with (2 + 4 + 6) / 3 = 4, weight 2 / (3 + 1): 4 + (8 - 4) / 2 = 6, 6 + (5 - 6) / 2.
    assert exponential_average([2.0, 4.0, 6.0, 8.0], 3) == 6.0
    assert exponential_average([2.0, 4.0, 6.0, 8.0, 5.0], 3) == 5.5


def test_relative_strength_by_hand() -> None:
    # 14 changes: gains 3.34, losses 1.40; RSI = 100 · 3.34 / 4.74.
    assert relative_strength(CLOSES[:15], 14) == pytest.approx(100 * 3.34 / 4.74)
    # Then a loss of 0.28: gain 3.34/14 · 13/14, loss (1.40/14 · 13 + 0.28) / 14.
    gain, loss = 3.34 / 14 * 13 / 14, (0.1 * 13 + 0.28) / 14
    assert relative_strength(CLOSES, 14) == pytest.approx(100 * gain / (gain + loss))
    assert relative_strength(CLOSES, 14) == pytest.approx(66.25, abs=0.005)


def test_relative_strength_at_its_ends() -> None:
    assert relative_strength([1.0, 2.0, 3.0], 2) == 100.0
    assert relative_strength([3.0, 2.0, 1.0], 2) == 0.0
    assert relative_strength([2.0, 2.0, 2.0], 2) == 50.0


def test_too_few_prices_are_refused() -> None:
    with pytest.raises(ValueError, match="3 prices are needed, there are 2"):
        simple_average([1.0, 2.0], 3)
    with pytest.raises(ValueError, match="15 prices"):
        relative_strength(CLOSES[:14], 14)


def test_volatility_by_hand() -> None:
    # 0.5 · 0.01² + 0.5 · 0.03² = 0.0005
    assert moving_volatility([0.01, 0.03], 0.5) == pytest.approx(math.sqrt(0.0005))
    assert moving_volatility([], 0.94) == 0.0


def test_value_at_risk_by_hand() -> None:
    returns = [-0.05, -0.02, -0.01, *[0.01] * 37]  # the 2nd worst of 40
    assert value_at_risk(returns) == pytest.approx(1 - math.exp(-0.02))
    assert value_at_risk([0.01] * 20) == 0.0


def test_drawdown_by_hand() -> None:
    assert max_drawdown([100.0, 120.0, 90.0, 130.0, 110.0]) == pytest.approx(0.25)
    assert max_drawdown([1.0, 2.0, 3.0]) == 0.0


def test_the_risk_score_by_hand() -> None:
    # Equal steps down by ln 1.01: volatility ln 1.01, VaR 1 - 1/1.01, drawdown 1 - 1.01^-20.
    prices = [1.01**-n for n in range(21)]
    limits = RiskSettings(volatility_limit=0.02, var_limit=0.02, drawdown_limit=0.02)
    expected = 0.4 * math.log(1.01) / 0.02 + 0.3 * (1 - 1 / 1.01) / 0.02 + 0.3
    assert find_risk(prices, limits).risk_score == pytest.approx(expected)
    assert find_risk(prices[:20], limits).risk_score == 1.0, "19 returns say too little"


def test_a_rise_is_a_trend_up_and_its_mirror_image_one_down() -> None:
    rising = [100 * math.exp(0.001 * n + 0.0008 * (-1) ** n) for n in range(60)]
    falling = [10_000 / price for price in rising]
    up, down = find_trend(rising, TREND), find_trend(falling, TREND)
    assert (up.trend, down.trend) == ("up", "down")
    assert up.distance > TREND.threshold
    assert up.fast_average > up.slow_average
    assert 0 < up.confidence < 1


def test_the_distance_and_the_confidence_by_hand() -> None:
    settings = TrendSettings(fast=1, slow=2, rsi_period=2, threshold=0.1)
    trend = find_trend([100.0, 90.0, 110.0, 105.0], settings)
    apart = math.log(105 / 107.5)  # EMA of 1 is the last price
    assert trend.distance == pytest.approx(apart / spread([90.0, 110.0, 105.0]))
    assert trend.trend == "down"
    assert trend.confidence == pytest.approx(math.tanh(abs(trend.distance) / 2))


def test_a_crossing_is_told_once() -> None:
    settings = TrendSettings(fast=1, slow=3, rsi_period=2, threshold=0.0)
    prices = [10.0, 9.0, 8.0, 7.0, 12.0, 13.0]
    assert [find_trend(prices[:n], settings).crossing for n in (4, 5, 6)] == ["", "up", ""]


def test_an_overbought_rise_is_believed_half() -> None:
    straight = [100 * math.exp(0.001 * n) for n in range(60)]
    trend = find_trend(straight, TREND)
    assert trend.rsi == 100.0
    assert trend.confidence == pytest.approx(math.tanh(abs(trend.distance) / 2) / 2)


def test_without_enough_prices_no_trend_is_claimed() -> None:
    prices = [1.0] * (needed(TREND) - 1)
    assert find_trend(prices, TREND).trend == "unknown"
    assert find_trend([*prices, 1.0], TREND).trend == "sideways"


@given(PRICES, st.integers(1, 40))
def test_averages_lie_between_the_extremes(prices: list[float], length: int) -> None:
    low, high = min(prices) * (1 - 1e-9), max(prices) * (1 + 1e-9)
    assert low <= simple_average(prices, length) <= high
    assert low <= exponential_average(prices, length) <= high


@given(PRICES, st.integers(1, 30), st.floats(0.01, 100))
def test_strength_is_bounded_and_knows_no_currency(
    prices: list[float], period: int, rate: float
) -> None:
    found = relative_strength(prices, period)
    assert 0 <= found <= 100
    converted = relative_strength([price * rate for price in prices], period)
    assert converted == pytest.approx(found, abs=1e-3)


@given(PRICES)
def test_trend_and_risk_are_bounded_for_any_prices(prices: list[float]) -> None:
    trend, risk = find_trend(prices, TREND), find_risk(prices, RISK)
    assert 0 <= trend.confidence <= 1
    assert 0 <= risk.risk_score <= 1 + 1e-9
    assert 0 <= risk.max_drawdown < 1
    assert 0 <= risk.value_at_risk < 1
    assert risk.volatility <= max(map(abs, log_returns(prices))) + 1e-12


@given(PRICES)
def test_more_loss_is_never_less_risk(prices: list[float]) -> None:
    worse = [*prices, min(prices) / 2]
    assert max_drawdown(worse) >= max_drawdown(prices)
