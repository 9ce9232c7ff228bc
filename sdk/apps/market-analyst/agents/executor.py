"""Carries plans out, each at most once; a rehearsal unless trading was switched on twice."""

from __future__ import annotations

import os

import msgspec
from loom import Agent, Context, Envelope, ToolError

from market_analyst.orders import (
    TOOL,
    Execution,
    execution,
    is_stale,
    order_of,
    size_of,
    why_not,
)
from market_analyst.planning import Plan, plan_hash
from market_analyst.settings import ExecutorSettings, read_settings

PLANNER = "planner"


class Executor(Agent):
    async def on_start(self, ctx: Context) -> None:
        ctx.ephemeral["settings"] = read_settings("executor", ctx.config, ExecutorSettings)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        plan = msgspec.convert(event.data, Plan) if event.sender == PLANNER else None
        if plan is None or plan.plan_hash != plan_hash(plan):
            ctx.log.error("a plan of %s is not one of %s: left out", event.sender, PLANNER)
            return
        done = await carry_out(ctx, plan)
        await ctx.emit(
            f"execution.{plan.symbol.lower()}", msgspec.to_builtins(done),
            type="execution.complete", subject=plan.plan_hash,
        )  # fmt: skip
        if done.status not in ("hold", "skipped"):
            print(f"{plan.symbol} {plan.action} {done.order_size_usdt} USDT: {done.status}")


async def carry_out(ctx: Context, plan: Plan) -> Execution:
    settings: ExecutorSettings = ctx.ephemeral["settings"]
    if plan.action == "HOLD":
        return execution(plan, "hold", "nothing is to be done")
    if not ctx.once(plan.plan_hash):
        return execution(plan, "skipped", "this plan was carried out before")
    if is_stale(plan, ctx.clock.time(), settings):
        return execution(plan, "skipped", f"it is older than {settings.max_plan_age_s:g} s")
    size = size_of(plan.confidence, settings)
    if reason := why_not(plan, settings, os.environ):
        return execution(plan, "dry-run", reason, order_size_usdt=size)
    return await place(ctx, plan, size, settings.order_timeout_s)


async def place(ctx: Context, plan: Plan, size: float, patience: float) -> Execution:
    """Ask for the order. Its id is the plan's: asked again after a crash it is the same one."""
    try:
        placed = await ctx.tool(
            TOOL, order_of(plan, size), call_id=plan.plan_hash, timeout_ms=patience * 1000,
            reason=f"{plan.action} {plan.symbol}: {plan.reasoning}",
        )  # fmt: skip
    except ToolError as error:
        return execution(plan, "error", str(error), order_size_usdt=size)
    order = str(placed.get("order_id", "")) if isinstance(placed, dict) else ""
    return execution(plan, "success", "placed", order_id=order, order_size_usdt=size)


agent = Executor("executor", ["plan.ready"])
