"""Says what the news sounds like: by a word list, or by a model where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from loom import Agent, Context, Envelope

from market_analyst.prices import Price, said_of
from market_analyst.sentiment import (
    Headline,
    Sentiment,
    find_sentiment,
    mood_of,
    read_news,
    recent,
)
from market_analyst.settings import SentimentSettings, read_settings
from market_analyst.thinking import ask_model

APP = Path(__file__).parent.parent
MOST_ANSWERS = 100
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "score": {"type": "number", "minimum": -1, "maximum": 1},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["score", "confidence"],
    "additionalProperties": False,
}


class Answer(msgspec.Struct, frozen=True):
    """What a model says of headlines."""

    score: Annotated[float, msgspec.Meta(ge=-1, le=1)]
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]


class SentimentAgent(Agent):
    async def on_start(self, ctx: Context) -> None:
        settings = read_settings("sentiment", ctx.config, SentimentSettings)
        ctx.ephemeral |= {"settings": settings, "answers": {}}
        ctx.ephemeral["news"] = News(APP / settings.news)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        settings: SentimentSettings = ctx.ephemeral["settings"]
        price = msgspec.convert(event.data, Price)
        news: News = ctx.ephemeral["news"]
        # A recording's headlines are told in its own time, as its prices are.
        began = price.series if price.source == "recorded" else 0
        now = price.timestamp_ms - began
        headlines = recent(news.read(), price.symbol, now, settings.window_minutes)
        found = await by_model(ctx, price.symbol, headlines) if settings.use_model else None
        found = found or find_sentiment(headlines, now, settings.half_life_minutes)
        labels = ["untrusted"] if found.headlines else []  # strangers wrote them
        await ctx.emit("analysis.sentiment", said_of(price, found), labels=labels)


class News:
    """The file of headlines, read again when it has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = (0, 0)
        self._headlines: list[Headline] = []
        self.read()

    def read(self) -> list[Headline]:
        """The headlines as they are now."""
        found = self._file.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._headlines, self._stamp = read_news(self._file), stamp
        return self._headlines


async def by_model(ctx: Context, symbol: str, headlines: Sequence[Headline]) -> Sentiment | None:
    """A model's opinion of *headlines*, asked once for the same ones; None if it has none."""
    if not headlines:
        return None
    texts = [headline.text for headline in headlines]
    known: dict[tuple[str, ...], Sentiment | None] = ctx.ephemeral["answers"]
    key = (symbol, *texts)
    if key not in known:
        known[key] = await ask(ctx, symbol, texts)
        while len(known) > MOST_ANSWERS:
            del known[next(iter(known))]
    return known[key]


async def ask(ctx: Context, symbol: str, texts: list[str]) -> Sentiment | None:
    prompt = (
        f"How do these headlines sound for {symbol}? score: -1 (bearish) to 1 (bullish); "
        f"confidence: 0 to 1.\n{msgspec.json.encode(texts).decode()}"
    )
    try:
        said = msgspec.convert(await ask_model(ctx, prompt, ANSWER), Answer)
    except msgspec.ValidationError:
        return None
    return Sentiment(mood_of(said.score), said.score, said.confidence, len(texts), "model")


agent = SentimentAgent("sentiment", ["market.price.*"])
