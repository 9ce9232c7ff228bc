"""The recorded feed: one ticker a line, told as if it happened from now on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from market_analyst.prices import Price, change_percent, symbol_of

MOST_BYTES = 64_000_000


class Tick(msgspec.Struct, frozen=True):
    """One line of a recording."""

    instrument: str
    timestamp_ms: int
    """Since the recording began."""
    last: float
    open_24h: float
    high_24h: float
    low_24h: float
    volume_24h: float

    def price(self, series: int) -> Price:
        """It, in a feed that was started at *series* (milliseconds of UNIX time)."""
        return Price(
            symbol=symbol_of(self.instrument),
            instrument=self.instrument,
            price=self.last,
            volume=self.volume_24h,
            price_change_percent=change_percent(self.last, self.open_24h),
            high_24h=self.high_24h,
            low_24h=self.low_24h,
            timestamp_ms=series + self.timestamp_ms,
            series=series,
            source="recorded",
        )


def read_recording(file: Path, instruments: list[str]) -> list[Tick]:
    """The ticks of *instruments* in *file*, in the order of time.

    Raises:
        ValueError: a line is not a tick, the file is too large, or it knows one of them not.
        OSError: it cannot be read.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file.name} has more than {MOST_BYTES} bytes")
    try:
        ticks = msgspec.json.Decoder(Tick).decode_lines(file.read_bytes())
    except msgspec.DecodeError as error:
        raise ValueError(f"{file.name}: {error}") from error
    if lost := set(instruments) - {tick.instrument for tick in ticks}:
        raise ValueError(f"{file.name} holds no prices of {', '.join(sorted(lost))}")
    wanted = [tick for tick in ticks if tick.instrument in instruments]
    return sorted(wanted, key=lambda tick: tick.timestamp_ms)
