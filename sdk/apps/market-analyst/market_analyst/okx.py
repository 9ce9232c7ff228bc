"""Public tickers of an exchange over a websocket, in OKX's format; no account is needed.

Source: OKX API guide, "WebSocket API / Public Data / Tickers channel".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec

from market_analyst.prices import Price, change_percent, symbol_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

QUIET = 25.0
"""Seconds of silence after which a ping is sent; the server hangs up after 30."""
LARGEST = 1 << 16


class Lost(Exception):
    """The connection cannot be made, or is over; try again later."""


WORDS = {
    "instrument": "instId", "open_24h": "open24h", "high_24h": "high24h", "low_24h": "low24h",
    "volume_24h": "vol24h",
}  # fmt: skip


class Ticker(msgspec.Struct, frozen=True, rename=WORDS):
    """One element of `data`; the numbers are text, as the exchange sends them."""

    instrument: str
    last: str
    open_24h: str
    high_24h: str
    low_24h: str
    volume_24h: str
    ts: str

    def price(self, series: int) -> Price:
        """It, in a feed that was started at *series*.

        Raises:
            ValueError: a number is none, or not one a price can be.
        """
        last, opened = float(self.last), float(self.open_24h)
        return Price(
            symbol=symbol_of(self.instrument),
            instrument=self.instrument,
            price=last,
            volume=float(self.volume_24h),
            price_change_percent=change_percent(last, opened),
            high_24h=float(self.high_24h),
            low_24h=float(self.low_24h),
            timestamp_ms=int(self.ts),
            series=series,
            source="live",
        )


class Push(msgspec.Struct, frozen=True):
    """What the server sends: tickers, or an event about the subscription."""

    data: list[Ticker] = []
    event: str = ""
    code: str = ""
    msg: str = ""


def subscription(instruments: list[str]) -> str:
    """The text that asks for the tickers of *instruments*."""
    channels = [{"channel": "tickers", "instId": instrument} for instrument in instruments]
    return msgspec.json.encode({"op": "subscribe", "args": channels}).decode()


async def pushes(url: str, instruments: list[str]) -> AsyncGenerator[Push, None]:
    """What the server at *url* says of *instruments* until the connection is over.

    The first one is empty: the connection stands. Close the iterator (`aclosing`).

    Raises:
        Lost: always in the end, with the reason.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, WebSocketException

    try:
        async with connect(url, max_size=LARGEST, ping_interval=None, close_timeout=2) as socket:
            await socket.send(subscription(instruments))
            yield Push()
            while True:
                text = await _next(socket)
                if text != "pong":
                    yield _decoded(text)
    except InvalidHandshake as error:
        raise Lost(f"{url} does not let us in: {error}") from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise Lost(f"the connection to {url} is over: {error}") from error


async def _next(socket: ClientConnection) -> str:
    """The next text; after a silence the server has to prove that it is there.

    Raises:
        TimeoutError: it does not.
    """
    try:
        async with asyncio.timeout(QUIET):
            return str(await socket.recv())
    except TimeoutError:
        await socket.send("ping")
    async with asyncio.timeout(QUIET):
        return str(await socket.recv())


def _decoded(text: str) -> Push:
    try:
        return msgspec.json.decode(text, type=Push)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Lost(f"the server does not speak the format of tickers: {error}") from error
