"""What the news sounds like: words with a value, and the newer the headline the more it counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

Mood = Literal["bullish", "bearish", "neutral"]
MOST_HEADLINES = 20
MOST_BYTES = 4_000_000
DECIDED = 0.2
"""From this score on a mood is more than neutral."""
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")

_GOOD = """
adopt adopts adoption approval approved approves beat beats breakthrough climb climbs demand
gain gains growth high inflow inflows launch launches optimism partnership profit profits rally
rallies rebound rebounds record recover recovers recovery rise rises soar soars strong stronger
support surge surges upgrade upgraded upgrades
"""
_BAD = """
attack ban banned bans bankrupt bankruptcy breach crash crashes decline declines delay delays
down drop drops exploit fall falls fear fears fraud hack hacked halt halts investigation lawsuit
loss losses outage outflow outflows panic plunge plunges probe reject rejected rejects sanction
sanctions selloff sell-off slump slumps theft warning warns weak
"""
GOOD, BAD = frozenset(_GOOD.split()), frozenset(_BAD.split())
NOT = frozenset({"no", "not", "never", "without", "denies", "deny"})


class Headline(msgspec.Struct, frozen=True):
    """One line of the news file."""

    timestamp_ms: int
    symbol: str
    """`BTC`, or `*` for all."""
    text: str


class Sentiment(msgspec.Struct, frozen=True):
    """What the sentiment agent says of one price."""

    sentiment: Mood
    score: float
    """-1 (bearish) to 1."""
    confidence: float
    """0 to 1."""
    headlines: int
    """How many it rests on."""
    method: Literal["lexicon", "model"] = "lexicon"


def read_news(file: Path) -> list[Headline]:
    """The headlines of *file*, one JSON object a line, oldest first.

    Raises:
        ValueError: a line is not a headline, or the file is too large.
        OSError: it cannot be read.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file.name} has more than {MOST_BYTES} bytes")
    try:
        found = msgspec.json.Decoder(Headline).decode_lines(file.read_bytes())
    except msgspec.DecodeError as error:
        raise ValueError(f"{file.name}: {error}") from error
    return sorted(found, key=lambda headline: headline.timestamp_ms)


def recent(
    news: Iterable[Headline], symbol: str, now_ms: int, window_minutes: float
) -> list[Headline]:
    """The newest headlines about *symbol* that were known at *now_ms*, oldest first."""
    since = now_ms - window_minutes * 60_000
    return [
        headline
        for headline in news
        if headline.symbol in (symbol, "*") and since < headline.timestamp_ms <= now_ms
    ][-MOST_HEADLINES:]


def tone(text: str) -> float:
    """-1 to 1: the good words less the bad ones, by how many there are; a negation turns one."""
    values: list[int] = []
    is_negated = False
    for word in _WORD.findall(text.lower()):
        value = (word in GOOD) - (word in BAD)
        if value:
            values.append(-value if is_negated else value)
        is_negated = word in NOT
    return sum(values) / len(values) if values else 0.0


def mood_of(score: float) -> Mood:
    """The word for *score*."""
    if abs(score) < DECIDED:
        return "neutral"
    return "bullish" if score > 0 else "bearish"


def find_sentiment(
    headlines: Sequence[Headline], now_ms: int, half_life_minutes: float
) -> Sentiment:
    """The mean tone of *headlines*; one of the half-life's age weighs half as much as a new one.

    confidence = |score| · n / (n + 2): two headlines that agree are believed half.
    """
    weights = [
        0.5 ** ((now_ms - headline.timestamp_ms) / 60_000 / half_life_minutes)
        for headline in headlines
    ]
    if not headlines or sum(weights) == 0.0:
        return Sentiment("neutral", 0.0, 0.0, 0)
    tones = [tone(headline.text) for headline in headlines]
    score = sum(w * t for w, t in zip(weights, tones, strict=True)) / sum(weights)
    confidence = abs(score) * len(headlines) / (len(headlines) + 2)
    return Sentiment(mood_of(score), score, confidence, len(headlines))
