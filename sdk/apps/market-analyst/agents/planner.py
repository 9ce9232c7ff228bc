"""Makes a plan of three opinions, or of two when the third is late."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
from loom import Agent, Context, Envelope
from loom_kernel import detached

from market_analyst.planning import (
    ANSWER,
    Decision,
    Plan,
    by_rules,
    from_answer,
    make_plan,
    question,
    without_repeat,
)
from market_analyst.rounds import Round, Rounds
from market_analyst.settings import PlannerSettings, read_settings
from market_analyst.thinking import ask_model

DUE = "plan.due"
LAST_PLANS = 5


class Planner(Agent):
    async def on_start(self, ctx: Context) -> None:
        settings = read_settings("planner", ctx.config, PlannerSettings)
        ctx.ephemeral |= {"settings": settings, "timers": {}, "shown": {}}
        for waiting in Rounds(ctx.state):  # of the process before this one
            set_timer(ctx, waiting)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        settings: PlannerSettings = ctx.ephemeral["settings"]
        rounds = Rounds(ctx.state, settings.aggregation)
        if topic == DUE:
            await time_is_over(ctx, rounds, event)
            return
        deadline = ctx.clock.time() + settings.timeout_ms / 1000
        kind = topic.removeprefix("analysis.")
        current = rounds.add(kind, event.data, deadline, event.labels)
        if current is None:
            return
        if current.is_complete:
            await decide(ctx, rounds, current)
            return
        set_timer(ctx, current)
        if crowded := rounds.oldest_beyond_limit():
            await give_up(ctx, rounds, crowded, "too many prices wait for their analyses")


# -- time -------------------------------------------------------------------------------------


def set_timer(ctx: Context, waiting: Round) -> None:
    """Let the end of *waiting* be an event: like all others it survives the process."""
    timers: dict[str, asyncio.Task[None]] = ctx.ephemeral["timers"]
    if waiting.key not in timers:
        timers[waiting.key] = ctx.host.spawn(tell_end(ctx, waiting), f"due/{waiting.key}")


async def tell_end(ctx: Context, waiting: Round) -> None:
    clock = ctx.host.clock
    await clock.sleep(max(0.0, waiting.deadline - clock.time()))
    with detached():  # the event whose handler set the timer was handled long ago
        await ctx.emit(DUE, {"key": waiting.key}, labels=waiting.labels)


async def time_is_over(ctx: Context, rounds: Rounds, event: Envelope) -> None:
    if event.sender != ctx.agent_id:
        return
    ctx.ephemeral["timers"].pop(event.data["key"], None)
    waiting = rounds.get(event.data["key"])
    if waiting is None:
        return
    current = msgspec.structs.replace(waiting, labels=sorted({*waiting.labels, *event.labels}))
    if rounds.is_enough(current):
        await decide(ctx, rounds, current)
    else:
        await give_up(ctx, rounds, current, "the time is over")


def forget_timer(ctx: Context, over: Round) -> None:
    if timer := ctx.ephemeral["timers"].pop(over.key, None):
        timer.cancel()


# -- the end of a round -----------------------------------------------------------------------


async def give_up(ctx: Context, rounds: Rounds, over: Round, reason: str) -> None:
    """No plan comes of *over*, and everybody may know why."""
    forget_timer(ctx, over)
    rounds.drop(over)
    missed = {
        "symbol": over.symbol, "price_ms": over.timestamp_ms, "missing": over.missing,
        "reason": reason,
    }  # fmt: skip
    await ctx.emit("plan.missed", missed, labels=over.labels)


async def decide(ctx: Context, rounds: Rounds, current: Round) -> None:
    settings: PlannerSettings = ctx.ephemeral["settings"]
    decision, method = await find_decision(ctx, current, settings)
    acted: dict[str, Any] = ctx.state.setdefault("acted", {})
    decision = without_repeat(decision, current, acted.get(current.symbol), settings.repeat_s)
    plan = make_plan(current, decision, method, ctx.clock.time())
    told = msgspec.to_builtins(plan)
    if plan.action != "HOLD":
        acted[plan.symbol] = told
    plans: dict[str, list[Any]] = ctx.state.setdefault("plans", {})
    plans[plan.symbol] = [*plans.get(plan.symbol, []), told][-LAST_PLANS:]
    for older in rounds.settle(current):
        await give_up(ctx, rounds, older, "a newer price was decided on")
    forget_timer(ctx, current)
    await ctx.emit("plan.ready", told, subject=plan.plan_hash, labels=current.labels)
    show(ctx, plan, current.analyses.get("trend", {}).get("trend"))


def show(ctx: Context, plan: Plan, trend: str | None) -> None:
    """Print *plan*, unless it is to hold for the same reasons as the one before."""
    shown: dict[str, object] = ctx.ephemeral["shown"]
    last, shown[plan.symbol] = shown.get(plan.symbol), (trend, plan.method, plan.sources)
    if plan.action == "HOLD" and last == shown[plan.symbol]:
        return
    print(
        f"{plan.symbol} {plan.price:.2f}: {plan.action} ({plan.confidence:.0%}), "
        f"{plan.reasoning} [{plan.method}, {len(plan.sources)} of 3]"
    )


async def find_decision(
    ctx: Context, current: Round, settings: PlannerSettings
) -> tuple[Decision, Literal["rules", "model"]]:
    """A model's decision if it may be asked and answers with one, else that of the rules."""
    asked: dict[str, list[int]] = ctx.state.setdefault("asked", {})
    series, moment = asked.get(current.symbol, [-1, -1])
    is_turn = series != current.series or (
        current.timestamp_ms - moment >= settings.model_every_s * 1000
    )
    if settings.use_model and is_turn:
        asked[current.symbol] = [current.series, current.timestamp_ms]
        plans = ctx.state.get("plans", {}).get(current.symbol, [])
        answer = await ask_model(ctx, question(current, plans), ANSWER)
        if (decision := from_answer(answer)) is not None:
            return decision, "model"
    return by_rules(current.analyses), "rules"


agent = Planner("planner", ["analysis.trend", "analysis.risk", "analysis.sentiment", DUE])
