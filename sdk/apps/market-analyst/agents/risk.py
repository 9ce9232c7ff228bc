"""Says how much could be lost."""

from __future__ import annotations

import msgspec
from loom import Agent, Context, Envelope

from market_analyst.prices import Price, remember, said_of
from market_analyst.risk import find_risk
from market_analyst.settings import RiskSettings, read_settings


class RiskAgent(Agent):
    async def on_start(self, ctx: Context) -> None:
        ctx.ephemeral["settings"] = read_settings("risk", ctx.config, RiskSettings)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        settings: RiskSettings = ctx.ephemeral["settings"]
        price = msgspec.convert(event.data, Price)
        prices = remember(ctx.state, price, settings.window)
        if prices is not None:
            await ctx.emit("analysis.risk", said_of(price, find_risk(prices, settings)))


agent = RiskAgent("risk", ["market.price.*"])
