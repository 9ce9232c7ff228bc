"""A price as it travels, and the window of prices that an analyst remembers."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

Feed = Literal["recorded", "live"]


class Price(msgspec.Struct, frozen=True):
    """What one market said at one moment: the data of `market.price.<SYMBOL>`."""

    symbol: str
    """`BTC`."""
    instrument: str
    """`BTC-USDT`."""
    price: float
    volume: float
    price_change_percent: float
    """Against the price 24 hours before."""
    high_24h: float
    low_24h: float
    timestamp_ms: int
    """When the market said it, in milliseconds of UNIX time."""
    series: int
    """When the feed was started: prices of two series do not belong into one window."""
    source: Feed

    def __post_init__(self) -> None:
        if not self.price > 0:
            raise ValueError(f"the price of {self.instrument} is {self.price}, must be above 0")
        told = (self.price, self.volume, self.price_change_percent, self.high_24h, self.low_24h)
        if not all(map(math.isfinite, told)):
            raise ValueError(f"a number told of {self.instrument} is not finite: {told}")


def change_percent(now: float, before: float) -> float:
    """By how many percent *now* is above *before*; 0 where nothing was before."""
    return (now / before - 1) * 100 if before > 0 else 0.0


def symbol_of(instrument: str) -> str:
    """`BTC` of `BTC-USDT`."""
    return instrument.partition("-")[0]


def by_symbol(instruments: list[str]) -> dict[str, str]:
    """The instruments by symbol.

    Raises:
        ValueError: two of them have the same symbol, and so the same topic.
    """
    found: dict[str, str] = {}
    for instrument in instruments:
        other = found.setdefault(symbol_of(instrument), instrument)
        if other != instrument:
            raise ValueError(f"{other} and {instrument} would share a topic; choose one of them")
    return found


def remember(state: dict[str, Any], price: Price, length: int) -> list[float] | None:
    """Add *price* to its symbol's window in *state*; the newest *length* prices, oldest first.

    None if it is not newer than the last one: it was told twice. A new series begins anew.
    """
    windows: dict[str, dict[str, Any]] = state.setdefault("windows", {})
    known = windows.get(price.symbol)
    if known is None or known["series"] < price.series:
        known = windows[price.symbol] = {"series": price.series, "at": -1, "prices": []}
    if (price.series, price.timestamp_ms) <= (known["series"], known["at"]):
        return None
    known["at"] = price.timestamp_ms
    known["prices"] = [*known["prices"], price.price][-length:]
    prices: list[float] = known["prices"]
    return prices


def said_of(price: Price, analysis: msgspec.Struct) -> dict[str, Any]:
    """The data of `analysis.<kind>`: which price, and what was found out about it."""
    return {
        "symbol": price.symbol,
        "series": price.series,
        "timestamp_ms": price.timestamp_ms,
        "price": {
            "price": price.price, "instrument": price.instrument, "source": price.source,
            "change_percent": price.price_change_percent,
        },
        "analysis": msgspec.to_builtins(analysis),
    }  # fmt: skip
