"""The live feed against a real websocket server that speaks the exchange's format."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual
from websockets.asyncio.server import ServerConnection, serve

pytestmark = pytest.mark.feature("APP-02")
Market = Callable[..., AbstractAsyncContextManager[tuple[Runtime, EventRecorder]]]


def ticker(instrument: str, last: str, moment: int, **changes: Any) -> str:
    """A push, as the exchange's guide shows it."""
    told = {
        "instType": "SPOT", "instId": instrument, "last": last, "lastSz": "0.1", "askPx": "1",
        "askSz": "11", "bidPx": "1", "bidSz": "5", "open24h": "90000", "high24h": "93000",
        "low24h": "89000", "volCcy24h": "2222", "vol24h": "1234.5", "sodUtc0": "2222",
        "sodUtc8": "2222", "ts": str(moment), **changes,
    }  # fmt: skip
    return json.dumps({"arg": {"channel": "tickers", "instId": instrument}, "data": [told]})


class Server:
    """Accepts subscriptions and says what it is told to; each connection has its script."""

    def __init__(self, *scripts: list[str]) -> None:
        self.asked: list[Any] = []
        self.pings = 0
        self._scripts = list(scripts)

    async def talk(self, socket: ServerConnection) -> None:
        self.asked.append(json.loads(await socket.recv()))
        script = self._scripts.pop(0) if self._scripts else []
        for text in script:
            await socket.send(text)
        if self._scripts:
            return  # hang up: the next connection has more to hear
        async for said in socket:
            self.pings += said == "ping"
            await socket.send("pong")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        async with serve(self.talk, "127.0.0.1", 0) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/v5/public"


def live(url: str, **more: Any) -> dict[str, Any]:
    table = {"source": "live", "url": url, "symbols": ["BTC-USDT", "ETH-USDT"], "throttle_ms": 0}
    return {"data": table | more}


@pytest.mark.anyio
async def test_tickers_become_prices(market: Market) -> None:
    acknowledged = '{"event": "subscribe", "arg": {"channel": "tickers"}, "connId": "a4d3ae55"}'
    server = Server(
        [acknowledged, ticker("BTC-USDT", "91800", 1000), ticker("ETH-USDT", "3150.5", 1001)]
    )
    async with server.open() as url, market("data", tables=live(url)) as (_, recorder):
        btc, eth = await recorder.wait_for("market.price.*", count=2)
    assert server.asked == [
        {
            "op": "subscribe",
            "args": [
                {"channel": "tickers", "instId": "BTC-USDT"},
                {"channel": "tickers", "instId": "ETH-USDT"},
            ],
        }
    ]
    assert btc.topic == "market.price.BTC"
    assert btc.labels == frozenset({"untrusted"})
    assert btc.data["price_change_percent"] == pytest.approx(2.0)
    assert (btc.data["price"], btc.data["volume"], btc.data["timestamp_ms"]) == (
        91800,
        1234.5,
        1000,
    )
    assert (btc.data["high_24h"], btc.data["low_24h"], btc.data["source"]) == (93000, 89000, "live")
    assert eth.data["symbol"] == "ETH"


@pytest.mark.anyio
async def test_a_lost_connection_is_made_again(market: Market) -> None:
    first = [ticker("BTC-USDT", "91800", 1000)]
    server = Server(first, ["this is no JSON"], [ticker("BTC-USDT", "91900", 2000)])
    async with server.open() as url, market("data", tables=live(url)) as (_, recorder):
        prices = await recorder.wait_for("market.price.BTC", count=2, timeout=10)
        lost = recorder.on("market.feed.lost")
    assert [price.data["price"] for price in prices] == [91800, 91900]
    assert len({price.data["series"] for price in prices}) == 1, "it is the same feed"
    assert len(server.asked) == 3
    assert len(lost) == 2
    assert "does not speak the format" in lost[1].data["reason"]


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_tried_again(market: Market) -> None:
    async with Server().open() as url:
        pass
    async with market("data", tables=live(url)) as (_, recorder):
        first, second = await recorder.wait_for("market.feed.lost", count=2, timeout=10)
    assert second.data["delay"] > first.data["delay"]


@pytest.mark.anyio
async def test_what_no_ticker_can_be_is_left_out(market: Market) -> None:
    server = Server(
        [
            ticker("BTC-USDT", "NaN", 1), ticker("BTC-USDT", "-5", 2), ticker("BTC-USDT", "", 3),
            ticker("BTC-USDT", "1", 4, vol24h="inf"), ticker("DOGE-USDT", "1", 5),
            '{"event": "error", "code": "60018", "msg": "channel does not exist"}',
            ticker("BTC-USDT", "91800", 6),
        ]
    )  # fmt: skip
    async with server.open() as url, market("data", tables=live(url)) as (_, recorder):
        (price,) = await recorder.wait_for("market.price.*")
        (refused,) = recorder.on("market.feed.refused")
    assert price.data["timestamp_ms"] == 6
    assert refused.data["reason"] == "60018: channel does not exist"


@pytest.mark.anyio
async def test_a_chatty_market_is_told_once_in_a_while(market: Market) -> None:
    chatter = [ticker("BTC-USDT", str(91_800 + n), n) for n in range(50)]
    server = Server([*chatter, ticker("ETH-USDT", "1", 99)])
    tables = live("", throttle_ms=60_000)
    async with server.open() as url:
        tables["data"]["url"] = url
        async with market("data", tables=tables) as (_, recorder):
            await recorder.wait_for("market.price.ETH")
    assert len(recorder.on("market.price.BTC")) == 1


def test_a_quiet_server_is_asked_whether_it_is_there(market: Market) -> None:
    """In simulated time; the bytes go through a real socket all the same."""

    async def watch() -> tuple[int, EventRecorder]:
        server = Server([])
        clock = VirtualClock()
        async with (
            server.open() as url,
            market("data", tables=live(url), clock=clock) as (_, recorder),
        ):
            await clock.sleep(60)
            return server.pings, recorder

    pings, recorder = run_virtual(watch)
    assert pings == 2
    assert recorder.on("market.feed.lost") == []
