"""Makes the recordings of this folder: `python sdk/apps/market-analyst/feed/generate.py`.

They are synthetic. No market ever had these prices, and nobody wrote these headlines. The same
seed gives the same files; a test compares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
SEED = 20_260_101
DAY = 24 * 60
MINUTES = 100

#: instrument: first price, decimals, volatility of a minute, drifts of the recording's quarters
MARKETS: dict[str, tuple[float, int, float, tuple[float, ...]]] = {
    "BTC-USDT": (91_500.0, 1, 0.0006, (0.0, 0.0005, 0.0004, -0.0004)),
    "ETH-USDT": (3_150.0, 2, 0.0009, (-0.0004, -0.0006, 0.0006, 0.0007)),
    "SOL-USDT": (134.0, 3, 0.0040, (0.0, 0.0020, -0.0090, 0.0030)),
}
NEWS = [
    (3, "*", "Quiet trading as markets wait for the inflation figures"),
    (18, "SOL", "Network outage halts transfers, developers start an investigation"),
    (24, "BTC", "Funds report record inflows as demand rises"),
    (31, "ETH", "Large holders sell, price falls for a third day"),
    (40, "BTC", "Regulator approved another fund, analysts see strong support"),
    (47, "SOL", "Exploit feared: users warn of theft, price crashes"),
    (52, "ETH", "Upgrade goes live without delay, developers report a breakthrough"),
    (63, "ETH", "Prices rebound after the upgrade, adoption grows"),
    (71, "SOL", "Team denies hack, services recover"),
    (80, "BTC", "Outflows and losses as the rally ends"),
]


def main() -> None:
    """Write both files."""
    write(HERE / "prices.jsonl", prices())
    write(HERE / "news.jsonl", news())


def write(file: Path, lines: Iterator[dict[str, Any]]) -> None:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def prices() -> Iterator[dict[str, Any]]:
    """One ticker a minute and market, in the order of time."""
    markets = [list(market(*entry)) for entry in MARKETS.items()]
    for minute in zip(*markets, strict=True):
        yield from minute


def market(
    instrument: str, nature: tuple[float, int, float, tuple[float, ...]]
) -> Iterator[dict[str, Any]]:
    """The recording of one market: a random walk, of which the day before it is not told."""
    price, decimals, volatility, drifts = nature
    chance = Random(f"{SEED}/{instrument}")
    walk = [price]
    for minute in range(1, DAY + MINUTES):
        told = max(0, minute - DAY) * len(drifts) // MINUTES
        drift = drifts[told] if minute >= DAY else 0.0
        walk.append(walk[-1] * math.exp(drift + volatility * chance.gauss(0.0, 1.0)))
    for minute in range(MINUTES):
        day = [round(value, decimals) for value in walk[minute : minute + DAY]]
        yield {
            "instrument": instrument,
            "timestamp_ms": minute * 60_000,
            "last": day[-1],
            "open_24h": day[0],
            "high_24h": max(day),
            "low_24h": min(day),
            "volume_24h": round(chance.uniform(900, 1100), 1),
        }


def news() -> Iterator[dict[str, Any]]:
    """The headlines, in the recording's own time."""
    for minute, symbol, text in NEWS:
        yield {"timestamp_ms": minute * 60_000, "symbol": symbol, "text": text}


if __name__ == "__main__":
    main()
