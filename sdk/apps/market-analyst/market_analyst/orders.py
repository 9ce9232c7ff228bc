"""Whether a plan is carried out, for how much, and what is said of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from market_analyst.planning import Plan
from market_analyst.settings import ExecutorSettings

Status = Literal["skipped", "hold", "dry-run", "success", "error"]
SWITCH = "MARKET_ANALYST_TRADING"
"""The environment variable that has to be `yes`: the second switch."""
TOOL = "exchange:place_order"


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The data of `execution.<symbol>`."""

    symbol: str
    plan_action: str
    plan_confidence: float
    plan_hash: str
    executed: bool
    status: Status
    message: str
    order_id: str = ""
    order_size_usdt: float = 0.0


def size_of(confidence: float, settings: ExecutorSettings) -> float:
    """In USDT, to the cent: min + (max - min) · clamp((confidence - 0.5) · 2)."""
    share = max(0.0, min(1.0, (confidence - 0.5) * 2))
    least, most = settings.min_order_usdt, settings.max_order_usdt
    return round(least + (most - least) * share, 2)


def why_not(plan: Plan, settings: ExecutorSettings, environment: Mapping[str, str]) -> str:
    """Why *plan* is only rehearsed; empty when all switches are on and its prices are real."""
    if not settings.enable_trading:
        return "trading is off: enable_trading in loom.toml is false"
    if environment.get(SWITCH) != "yes":
        return f"trading is off: the environment variable {SWITCH} is not yes"
    if plan.feed != "live":
        return "prices of a recording are never traded on"
    return ""


def is_stale(plan: Plan, now: float, settings: ExecutorSettings) -> bool:
    """Whether *plan* is too old to act on, or says that it was made in the future."""
    age = now - plan.timestamp_ms / 1000
    return abs(age) > settings.max_plan_age_s


def order_of(plan: Plan, size_usdt: float) -> dict[str, Any]:
    """The arguments of the tool that places orders."""
    return {
        "symbol": plan.instrument,
        "side": plan.action.lower(),
        "size_usdt": size_usdt,
        "client_order_id": plan.plan_hash[:32],
    }


def execution(plan: Plan, status: Status, message: str, **more: Any) -> Execution:
    """What is said of *plan*."""
    return Execution(
        symbol=plan.symbol,
        plan_action=plan.action,
        plan_confidence=plan.confidence,
        plan_hash=plan.plan_hash,
        executed=status == "success",
        status=status,
        message=message,
        **more,
    )
