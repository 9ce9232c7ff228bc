"""Where a price is going: two averages, the distance between them, and how tired the move is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from market_analyst.indicators import (
    exponential_average,
    relative_strength,
    simple_average,
    spread,
)
from market_analyst.settings import TrendSettings

Direction = Literal["up", "down", "sideways", "unknown"]
OVERBOUGHT, OVERSOLD = 70.0, 30.0
FARTHEST = 10.0
"""Distances beyond this many volatilities say nothing more."""


class Trend(msgspec.Struct, frozen=True):
    """What the trend agent says of one price."""

    trend: Direction
    confidence: float
    """0 to 1."""
    crossing: Literal["up", "down", ""] = ""
    """The fast average has just crossed the slow one in this direction."""
    distance: float = 0.0
    """Of the fast average from the slow one, in volatilities."""
    fast_average: float = 0.0
    slow_average: float = 0.0
    rsi: float = 50.0


def needed(settings: TrendSettings) -> int:
    """How many prices there must be before anything can be said."""
    return max(settings.slow, settings.fast, settings.rsi_period) + 1


def window(settings: TrendSettings) -> int:
    """How many prices to keep: enough for the exponential averages to forget how they began."""
    return 4 * needed(settings)


def find_trend(prices: Sequence[float], settings: TrendSettings) -> Trend:
    """Judge *prices*, oldest first.

    The distance is ln(EMA / SMA) divided by the standard deviation of the log returns; from
    *threshold* on it is a trend. confidence = tanh(|distance| / 2), halved when the RSI says that
    the move is overbought (or oversold).
    """
    if len(prices) < needed(settings):
        return Trend("unknown", 0.0)
    fast, slow, distance = _averages(prices, settings)
    _, _, before = _averages(prices[:-1], settings)
    rsi = relative_strength(prices, settings.rsi_period)
    direction: Direction = "sideways"
    if abs(distance) >= settings.threshold:
        direction = "up" if distance > 0 else "down"
    is_tired = (direction == "up" and rsi > OVERBOUGHT) or (direction == "down" and rsi < OVERSOLD)
    confidence = math.tanh(abs(distance) / 2) * (0.5 if is_tired else 1.0)
    crossing: Literal["up", "down", ""] = ""
    if before <= 0 < distance or distance < 0 <= before:
        crossing = "up" if distance > 0 else "down"
    return Trend(direction, confidence, crossing, distance, fast, slow, rsi)


def _averages(prices: Sequence[float], settings: TrendSettings) -> tuple[float, float, float]:
    """The fast and the slow average, and their distance in volatilities."""
    fast = exponential_average(prices, settings.fast)
    slow = simple_average(prices, settings.slow)
    volatility = spread(prices[-settings.slow - 1 :])
    apart = math.log(fast / slow)
    if volatility == 0.0:  # a straight line: whatever distance there is is certain
        distance = math.copysign(FARTHEST, apart) if apart else 0.0
    else:
        distance = max(-FARTHEST, min(FARTHEST, apart / volatility))
    return fast, slow, distance
