from __future__ import annotations

from pathlib import Path

import pytest

from market_analyst.sentiment import Headline, find_sentiment, read_news, recent, tone

MINUTE = 60_000


def headline(minute: int, text: str, symbol: str = "BTC") -> Headline:
    return Headline(minute * MINUTE, symbol, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Record inflows, prices rally", 1.0),
        ("Hack and theft", -1.0),
        ("Gains after losses", 0.0),
        ("Team denies hack", 1.0),
        ("The sea is blue", 0.0),
    ],
)
def test_the_tone_of_words(text: str, expected: float) -> None:
    assert tone(text) == expected


def test_a_headline_of_the_half_lifes_age_weighs_half() -> None:
    told = [headline(0, "crash"), headline(20, "rally")]
    found = find_sentiment(told, 20 * MINUTE, 20)
    assert found.score == pytest.approx((1 - 0.5) / 1.5)
    assert found.confidence == pytest.approx(found.score * 2 / 4)
    assert found.sentiment == "bullish"


def test_nothing_is_claimed_without_headlines() -> None:
    found = find_sentiment([], 0, 20)
    assert (found.sentiment, found.confidence, found.headlines) == ("neutral", 0.0, 0)
    assert find_sentiment([headline(0, "rally")], 10**15, 1e-9).confidence == 0.0


def test_only_what_was_known_then_and_concerns_the_symbol_counts() -> None:
    news = [
        headline(1, "old"), headline(50, "mine"), headline(60, "all", "*"),
        headline(61, "other", "ETH"), headline(62, "future"),
    ]  # fmt: skip
    found = recent(news, "BTC", 61 * MINUTE, 60)
    assert [known.text for known in found] == ["mine", "all"]


def test_a_line_that_is_no_headline_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "news.jsonl"
    file.write_text('{"timestamp_ms": 1, "symbol": "BTC"}\n')
    with pytest.raises(ValueError, match=r"news\.jsonl.*text"):
        read_news(file)
