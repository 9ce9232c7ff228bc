"""How much could be lost: volatility, value at risk, drawdown, and one score of the three."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from market_analyst.indicators import log_returns
from market_analyst.settings import RiskSettings

LEAST_RETURNS = 20
"""Of fewer returns there is no 5th percentile: what is not known is as risky as can be."""
WEIGHTS = (0.4, 0.3, 0.3)


class Risk(msgspec.Struct, frozen=True):
    """What the risk agent says of one price."""

    risk_score: float
    """0 (calm) to 1."""
    volatility: float = 0.0
    """Of one price to the next, EWMA."""
    value_at_risk: float = 0.0
    """The share that is lost from one price to the next in the worst 5 % of cases."""
    max_drawdown: float = 0.0
    """The largest share that was lost from a peak to what followed."""


def moving_volatility(returns: Sequence[float], decay: float) -> float:
    """The root of v = decay · v + (1 - decay) · r², which begins with the first r².

    Source: J.P. Morgan/Reuters, "RiskMetrics Technical Document" (1996), section 5.2.
    """
    if not returns:
        return 0.0
    variance = returns[0] ** 2
    for change in returns[1:]:
        variance = decay * variance + (1 - decay) * change**2
    return math.sqrt(variance)


def value_at_risk(returns: Sequence[float], share: float = 0.05) -> float:
    """Historical VaR: the ⌈share · n⌉-th worst of the n log returns, as a share that is lost."""
    if not returns:
        return 0.0
    place = max(1, math.ceil(share * len(returns) - 1e-9))
    return max(0.0, -math.expm1(sorted(returns)[place - 1]))


def max_drawdown(prices: Sequence[float]) -> float:
    """The largest loss from a peak to a later price, as a share of the peak."""
    peak, worst = 0.0, 0.0
    for price in prices:
        peak = max(peak, price)
        worst = max(worst, 1 - price / peak)
    return worst


def find_risk(prices: Sequence[float], settings: RiskSettings) -> Risk:
    """Judge *prices*, oldest first.

    risk_score = 0.4 · volatility/limit + 0.3 · VaR/limit + 0.3 · drawdown/limit, where none of the
    three quotients counts for more than 1; it is 1 while there are fewer than 20 returns.
    """
    returns = log_returns(prices)
    found = (
        moving_volatility(returns, settings.decay),
        value_at_risk(returns),
        max_drawdown(prices),
    )
    limits = (settings.volatility_limit, settings.var_limit, settings.drawdown_limit)
    parts = zip(WEIGHTS, found, limits, strict=True)
    score = sum(weight * min(1.0, value / limit) for weight, value, limit in parts)
    return Risk(score if len(returns) >= LEAST_RETURNS else 1.0, *found)
