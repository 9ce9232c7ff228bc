"""What `loom.toml` says to each agent, checked: a word that nobody reads is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

OF_THE_RUNTIME = frozenset({"concurrency", "enabled", "mailbox", "run", "topics"})
"""Keys of an agent's table that the runtime reads."""

S = TypeVar("S", bound=msgspec.Struct)
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class DataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: Literal["recorded", "live"] = "recorded"
    recording: str = "feed/prices.jsonl"
    pace_ms: Amount = 60
    symbols: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    url: str = "wss://ws.okx.com:8443/ws/v5/public"
    throttle_ms: Amount = 1000


class TrendSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fast: Count = 9
    slow: Count = 21
    rsi_period: Count = 14
    threshold: Amount = 1.0


class RiskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    window: Count = 60
    decay: Share = 0.94
    volatility_limit: Positive = 0.004
    var_limit: Positive = 0.008
    drawdown_limit: Positive = 0.04


class SentimentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    news: str = "feed/news.jsonl"
    window_minutes: Positive = 60
    half_life_minutes: Positive = 20
    use_model: bool = True


class PlannerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    aggregation: Literal["complete_or_timeout", "complete"] = "complete_or_timeout"
    timeout_ms: Positive = 3000
    repeat_s: Amount = 300
    use_model: bool = True
    model_every_s: Amount = 60


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enable_trading: bool = False
    min_order_usdt: Positive = 10
    max_order_usdt: Positive = 50
    max_plan_age_s: Positive = 60
    order_timeout_s: Positive = 120

    def __post_init__(self) -> None:
        if self.max_order_usdt < self.min_order_usdt:
            raise ValueError("max_order_usdt is below min_order_usdt")


def read_settings(agent: str, table: Mapping[str, Any], kind: type[S]) -> S:
    """*table* of `[agents.<agent>]` as a *kind*.

    Raises:
        ValueError: a key is unknown or its value cannot be.
    """
    own = {key: value for key, value in table.items() if key not in OF_THE_RUNTIME}
    try:
        return msgspec.convert(own, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"[agents.{agent}] in loom.toml: {error}") from error
