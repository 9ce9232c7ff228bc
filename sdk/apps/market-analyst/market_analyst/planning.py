"""From analyses to a plan: rules, what a model may say instead, and no plan twice in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from loom.pins import fingerprint

from market_analyst.rounds import Round

Action = Literal["BUY", "SELL", "HOLD"]
CALM, DANGEROUS = 0.5, 0.7
REPEAT_COSTS, LEAST_CONFIDENCE = 0.2, 0.3


class Decision(msgspec.Struct, frozen=True):
    """What to do, why, and how sure that is."""

    action: Action
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reasoning: Annotated[str, msgspec.Meta(max_length=2000)]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The data of `plan.ready`."""

    symbol: str
    instrument: str
    action: Action
    confidence: float
    reasoning: str
    sources: list[str]
    """The kinds of analyses it rests on."""
    complete: bool
    method: Literal["rules", "model"]
    price: float
    price_ms: int
    """The market's time, in milliseconds."""
    series: int
    feed: str
    """`recorded` or `live`."""
    timestamp_ms: int
    """When it was made."""
    plan_hash: str = ""


ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "enum": ["BUY", "SELL", "HOLD"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "reasoning": {"type": "string"},
    },
    "required": ["action", "confidence", "reasoning"],
    "additionalProperties": False,
}
"""JSON Schema of what a model has to answer."""


def by_rules(analyses: Mapping[str, Mapping[str, Any]]) -> Decision:
    """BUY what rises calmly and is not talked down; else HOLD.

    The rules never sell: the app does not know what is owned.
    """
    trend = analyses.get("trend", {}).get("trend", "unknown")
    risk = float(analyses.get("risk", {}).get("risk_score", 1.0))
    mood = analyses.get("sentiment", {}).get("sentiment", "neutral")
    seen = f"the trend is {trend}, the risk {risk:.2f}, the news {mood}"
    if trend == "up" and risk < CALM and mood != "bearish":
        return Decision("BUY", 0.75, seen)
    if trend == "down" or risk > DANGEROUS:
        return Decision("HOLD", 0.60, seen)
    return Decision("HOLD", 0.50, seen)


def from_answer(answer: Mapping[str, Any] | None) -> Decision | None:
    """What a model answered, if it is a decision at all."""
    try:
        return None if answer is None else msgspec.convert(answer, Decision)
    except msgspec.ValidationError:
        return None


def question(wanted: Round, plans: Sequence[Mapping[str, Any]]) -> str:
    """The prompt for a model: what was found out, and the last *plans*."""
    known = {"price": wanted.price, "analyses": wanted.analyses, "last_plans": list(plans)}
    return (
        f"Decide about {wanted.symbol}: BUY, SELL or HOLD. What is known, as JSON:\n"
        f"{msgspec.json.encode(known).decode()}\n"
        "Answer with one JSON object: action, confidence (0 to 1), reasoning (one sentence)."
    )


def without_repeat(
    decision: Decision, wanted: Round, last: Mapping[str, Any] | None, repeat_s: float
) -> Decision:
    """*decision*, or HOLD if it is to do what was planned less than *repeat_s* seconds before.

    *last* is the last plan for the symbol that was not to hold. Seconds are those of the market.
    """
    if decision.action == "HOLD" or last is None or last["action"] != decision.action:
        return decision
    ago = (wanted.timestamp_ms - last["price_ms"]) / 1000
    if last["series"] != wanted.series or ago >= repeat_s:
        return decision
    confidence = max(LEAST_CONFIDENCE, decision.confidence - REPEAT_COSTS)
    reason = f"{decision.action} was planned {ago:.0f} s ago already; {decision.reasoning}"
    return Decision("HOLD", confidence, reason[:2000])


def make_plan(
    wanted: Round, decision: Decision, method: Literal["rules", "model"], now: float
) -> Plan:
    """The plan of *decision*, with the hash under which it is carried out once."""
    plan = Plan(
        symbol=wanted.symbol,
        instrument=str(wanted.price["instrument"]),
        action=decision.action,
        confidence=round(decision.confidence, 4),  # arithmetic noise is no other decision
        reasoning=decision.reasoning,
        sources=sorted(wanted.analyses),
        complete=wanted.is_complete,
        method=method,
        price=float(wanted.price["price"]),
        price_ms=wanted.timestamp_ms,
        series=wanted.series,
        feed=str(wanted.price["source"]),
        timestamp_ms=int(now * 1000),
    )
    return msgspec.structs.replace(plan, plan_hash=plan_hash(plan))


def plan_hash(plan: Plan) -> str:
    """SHA-256 of what was decided and about which price; not of when, and not of the words."""
    decided = msgspec.to_builtins(plan)
    for told in ("plan_hash", "reasoning", "timestamp_ms"):
        del decided[told]
    return fingerprint(decided)
