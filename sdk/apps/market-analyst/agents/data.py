"""Tells prices: of a recording, or of an exchange as they come."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import msgspec
from loom import Agent, Context, Envelope
from loom.contracts import AgentRecord

from market_analyst.okx import Lost, Push, pushes
from market_analyst.prices import Price, by_symbol
from market_analyst.recording import Tick, read_recording
from market_analyst.settings import DataSettings, read_settings

APP = Path(__file__).parent.parent
COLLEAGUES = {"trend", "risk", "sentiment", "planner", "executor"}
PATIENCE = 8.0
"""Seconds for which a recording waits for the colleagues' processes."""
FIRST_DELAY, LONGEST_DELAY = 0.5, 60.0


class Data(Agent):
    async def on_start(self, ctx: Context) -> None:
        settings = read_settings("data", ctx.config, DataSettings)
        by_symbol(settings.symbols)
        series = int(ctx.host.clock.time() * 1000)
        if settings.source == "recorded":
            ticks = read_recording(APP / settings.recording, settings.symbols)
            ctx.host.spawn(play(ctx, ticks, settings.pace_ms / 1000, series), "recording")
        else:
            ctx.host.spawn(follow(ctx, settings, series), "exchange")

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        """Nobody has anything to tell it."""


async def tell(ctx: Context, price: Price, labels: tuple[str, ...] = ()) -> None:
    await ctx.emit(
        f"market.price.{price.symbol}", msgspec.to_builtins(price), type="price.update",
        subject=price.instrument, labels=labels,
    )  # fmt: skip


# -- a recording ------------------------------------------------------------------------------


async def play(ctx: Context, ticks: list[Tick], pace: float, series: int) -> None:
    """Tell *ticks*, with *pace* seconds between two moments of the market."""
    await colleagues(ctx)
    moment = ticks[0].timestamp_ms
    for tick in ticks:
        if tick.timestamp_ms != moment:
            moment = tick.timestamp_ms
            await ctx.host.clock.sleep(pace)
        await tell(ctx, tick.price(series))
    await ctx.emit("market.feed.ended", {"prices": len(ticks), "source": "recorded"})


async def colleagues(ctx: Context) -> None:
    """Wait until the others can hear; go on without those that do not come."""
    with ctx.host.subscribe("agent.*.started") as started:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await listening(ctx) >= COLLEAGUES:
                    await started.receive()
        except TimeoutError:
            absent = sorted(COLLEAGUES - await listening(ctx))
            ctx.log.warning("it begins without %s", ", ".join(absent))


async def listening(ctx: Context) -> set[str]:
    """The agents that hear something beside what is said to them alone."""
    told = (await ctx.request("agent.list")).data["agents"]
    found = msgspec.convert(told, list[AgentRecord])
    return {agent.id for agent in found if agent.status == "active" and len(agent.topics) > 1}


# -- an exchange ------------------------------------------------------------------------------


async def follow(ctx: Context, settings: DataSettings, series: int) -> None:
    """Tell what the exchange says, and connect again whenever the connection is lost."""
    exchange = Exchange(ctx, settings, series)
    delay = FIRST_DELAY
    while True:
        try:
            await exchange.listen()
        except Lost as error:
            delay = FIRST_DELAY if exchange.was_heard else min(LONGEST_DELAY, delay * 2)
            pause = delay * (1 + ctx.random.random() / 4)
            ctx.log.warning("%s; next attempt in %.1f s", error, pause)
            await ctx.emit("market.feed.lost", {"reason": str(error), "delay": pause})
            await ctx.host.clock.sleep(pause)


class Exchange:
    """One feed of tickers, over as many connections as it takes."""

    def __init__(self, ctx: Context, settings: DataSettings, series: int) -> None:
        self.was_heard = False
        """Whether the last connection brought a price."""
        self._ctx = ctx
        self._settings = settings
        self._series = series
        self._told: dict[str, float] = {}

    async def listen(self) -> None:
        """Tell prices until the connection is over.

        Raises:
            Lost: always in the end.
        """
        self.was_heard = False
        async with aclosing(pushes(self._settings.url, self._settings.symbols)) as heard:
            async for push in heard:
                if not (push.data or push.event):
                    await self._ctx.emit("market.feed.connected", {"url": self._settings.url})
                await self._take(push)
        raise Lost("the server hung up")

    async def _take(self, push: Push) -> None:
        if push.event == "error":
            refusal = {"reason": f"{push.code}: {push.msg}"}
            self._ctx.log.error("the exchange refuses: %s", refusal["reason"])
            await self._ctx.emit("market.feed.refused", refusal, labels=["untrusted"])
        for ticker in push.data:
            try:
                price = ticker.price(self._series)
            except ValueError as error:
                self._ctx.log.warning("a ticker is left out: %s", error)
                continue
            self.was_heard = True
            if self._is_due(price):
                await tell(self._ctx, price, labels=("untrusted",))

    def _is_due(self, price: Price) -> bool:
        """Whether it was asked for, and nothing was told of it within the throttle."""
        if price.instrument not in self._settings.symbols:
            return False
        now = self._ctx.host.clock.monotonic()
        if now - self._told.get(price.symbol, -1e9) < self._settings.throttle_ms / 1000:
            return False
        self._told[price.symbol] = now
        return True


agent = Data("data")
