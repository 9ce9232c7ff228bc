"""Says where each price is going."""

from __future__ import annotations

import msgspec
from loom import Agent, Context, Envelope

from market_analyst.prices import Price, remember, said_of
from market_analyst.settings import TrendSettings, read_settings
from market_analyst.trend import find_trend, window


class TrendAgent(Agent):
    async def on_start(self, ctx: Context) -> None:
        ctx.ephemeral["settings"] = read_settings("trend", ctx.config, TrendSettings)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        settings: TrendSettings = ctx.ephemeral["settings"]
        price = msgspec.convert(event.data, Price)
        prices = remember(ctx.state, price, window(settings))
        if prices is not None:
            await ctx.emit("analysis.trend", said_of(price, find_trend(prices, settings)))


agent = TrendAgent("trend", ["market.price.*"])
