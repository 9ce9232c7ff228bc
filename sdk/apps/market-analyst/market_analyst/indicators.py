"""Averages and oscillators of a list of prices, oldest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev


def simple_average(prices: Sequence[float], length: int) -> float:
    """The mean of the newest *length* prices (SMA)."""
    _check(prices, length)
    return fmean(prices[-length:])


def exponential_average(prices: Sequence[float], length: int) -> float:
    """The mean in which each price weighs less than the next (EMA).

    It begins with the mean of the first *length* prices; a new one weighs 2 / (length + 1).
    """
    _check(prices, length)
    weight = 2 / (length + 1)
    average = fmean(prices[:length])
    for price in prices[length:]:
        average += weight * (price - average)
    return average


def relative_strength(prices: Sequence[float], period: int) -> float:
    """Wilder's RSI, 0 to 100; 50 when nothing moved.

    Source: J. Welles Wilder, "New Concepts in Technical Trading Systems" (1978), section VI.
    """
    _check(prices, period + 1)
    changes = [new - old for old, new in pairwise(prices)]
    gain = fmean(max(change, 0.0) for change in changes[:period])
    loss = fmean(max(-change, 0.0) for change in changes[:period])
    for change in changes[period:]:
        gain = (gain * (period - 1) + max(change, 0.0)) / period
        loss = (loss * (period - 1) + max(-change, 0.0)) / period
    return 100 * gain / (gain + loss) if gain + loss > 0 else 50.0


def log_returns(prices: Sequence[float]) -> list[float]:
    """The logarithm of each price divided by the one before."""
    return [math.log(new / old) for old, new in pairwise(prices)]


def spread(prices: Sequence[float]) -> float:
    """The standard deviation of the log returns; 0 for fewer than three prices."""
    returns = log_returns(prices)
    return stdev(returns) if len(returns) > 1 else 0.0


def _check(prices: Sequence[float], needed: int) -> None:
    if needed < 1 or len(prices) < needed:
        raise ValueError(f"{needed} prices are needed, there are {len(prices)}")
