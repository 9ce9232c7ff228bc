"""`loom.toml`, the settings and the code say the same."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from feed import generate
from market_analyst import prices, settings
from market_analyst.prices import Price, by_symbol, remember
from market_analyst.recording import read_recording
from market_analyst.settings import DataSettings, ExecutorSettings, read_settings

APP = Path(prices.__file__).parents[1]
CONFIG = tomllib.loads((APP / "loom.toml").read_text("utf-8"))
KINDS: dict[str, type[msgspec.Struct]] = {
    "data": settings.DataSettings,
    "trend": settings.TrendSettings,
    "risk": settings.RiskSettings,
    "sentiment": settings.SentimentSettings,
    "planner": settings.PlannerSettings,
    "executor": settings.ExecutorSettings,
}


def sources(agent: str) -> str:
    """The code that acts on an agent's settings."""
    own = [APP / "agents" / f"{agent}.py", *(APP / "market_analyst").glob("*.py")]
    return "".join(file.read_text("utf-8") for file in own if file.name != "settings.py")


@pytest.mark.parametrize("agent", sorted(KINDS))
def test_every_key_is_known_and_read_and_written_down(agent: str) -> None:
    read_settings(agent, CONFIG["agents"][agent], KINDS[agent])
    fields = {field.name for field in msgspec.structs.fields(KINDS[agent])}
    assert set(CONFIG["agents"][agent]) == fields, "loom.toml shows each with its default"
    unread = [name for name in fields if not re.search(rf"settings\.{name}\b", sources(agent))]
    assert unread == []


@pytest.mark.parametrize("agent", sorted(KINDS))
def test_the_defaults_are_those_that_are_shown(agent: str) -> None:
    shown = read_settings(agent, CONFIG["agents"][agent], KINDS[agent])
    needed = {"symbols": CONFIG["agents"]["data"]["symbols"]} if agent == "data" else {}
    assert read_settings(agent, needed, KINDS[agent]) == shown


def test_there_is_a_table_for_each_agent() -> None:
    assert {file.stem for file in (APP / "agents").glob("*.py")} == set(CONFIG["agents"])


@pytest.mark.feature("APP-04")
def test_trading_is_off_as_shipped() -> None:
    assert CONFIG["agents"]["executor"]["enable_trading"] is False
    assert CONFIG["agents"]["data"]["source"] == "recorded"
    assert "grants" not in CONFIG["plugins"].get("tools", {}), "an order always asks a person"


def test_a_misspelt_key_names_agent_and_key() -> None:
    with pytest.raises(ValueError, match=r"\[agents\.executor\].*enable_tradin"):
        read_settings("executor", {"enable_tradin": True}, ExecutorSettings)
    with pytest.raises(ValueError, match="below min_order_usdt"):
        read_settings("executor", {"max_order_usdt": 1}, ExecutorSettings)
    own = {"symbols": ["BTC-USDT"], "enabled": True, "topics": ["x"]}
    assert read_settings("data", own, DataSettings).symbols == ["BTC-USDT"]


def test_symbols_must_be_told_apart() -> None:
    with pytest.raises(ValueError, match="BTC-USDT and BTC-EUR"):
        by_symbol(["BTC-USDT", "BTC-EUR"])


def test_the_recordings_are_what_the_script_makes() -> None:
    for name, lines in (("prices", generate.prices()), ("news", generate.news())):
        made = "".join(f"{json.dumps(line)}\n" for line in lines)
        assert (APP / "feed" / f"{name}.jsonl").read_text("utf-8") == made


def test_a_recording_is_told_in_the_time_of_its_feed() -> None:
    ticks = read_recording(APP / "feed" / "prices.jsonl", ["ETH-USDT", "BTC-USDT"])
    assert {tick.instrument for tick in ticks} == {"ETH-USDT", "BTC-USDT"}
    price = ticks[2].price(1_000_000)
    assert price.timestamp_ms == 1_060_000
    assert price.price_change_percent == pytest.approx(
        (ticks[2].last / ticks[2].open_24h - 1) * 100
    )
    assert price.low_24h <= price.price <= price.high_24h
    with pytest.raises(ValueError, match="no prices of DOGE-USDT"):
        read_recording(APP / "feed" / "prices.jsonl", ["DOGE-USDT"])


def a_price(moment: int, value: float, series: int = 1) -> Price:
    return Price("BTC", "BTC-USDT", value, 1.0, 0.0, value, value, moment, series, "live")


def test_a_window_forgets_the_old_the_repeated_and_another_feed() -> None:
    state: dict[str, object] = {}
    assert remember(state, a_price(1, 10.0), 2) == [10.0]
    assert remember(state, a_price(1, 10.0), 2) is None
    assert remember(state, a_price(2, 11.0), 2) == [10.0, 11.0]
    assert remember(state, a_price(3, 12.0), 2) == [11.0, 12.0]
    assert remember(state, a_price(1, 99.0, series=2), 2) == [99.0]
    assert remember(state, a_price(4, 13.0), 2) is None, "a straggler of the feed before"


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_no_price_can_be_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="BTC-USDT"):
        a_price(1, value)
