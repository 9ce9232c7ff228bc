"""The six agents, run by the real plugins in simulated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from loom import ToolProvider
from loom.contracts import ToolCall, ToolDescriptor, ToolError
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual

from market_analyst.orders import SWITCH
from market_analyst.planning import Action, Decision, make_plan
from market_analyst.rounds import KINDS, Round

Market = Callable[..., AbstractAsyncContextManager[tuple[Runtime, EventRecorder]]]
OPINIONS = {
    "trend": {"trend": "up"},
    "risk": {"risk_score": 0.1},
    "sentiment": {"sentiment": "bullish"},
}
PRICE = {"price": 91_500.5, "instrument": "BTC-USDT", "source": "live", "change_percent": 1.0}
OPEN: dict[str, Any] = {"type": "object"}
GRANT = ("exchange:place_order",)


async def say(host: Host, *kinds: str, moment: int = 60_000) -> None:
    """Publish analyses as the analysts do."""
    for kind in kinds:
        said = {
            "symbol": "BTC", "series": 1, "timestamp_ms": moment, "price": PRICE,
            "analysis": OPINIONS[kind],
        }  # fmt: skip
        await host.publish(f"analysis.{kind}", said)


async def offer(
    runtime: Runtime,
    name: str,
    answer: Callable[[ToolCall], Coroutine[Any, Any, Any]],
    *permissions: str,
) -> None:
    """Let the runtime have a tool, as a plugin of the user's would."""
    provider = ToolProvider(runtime.host(name.partition(":")[0]))
    provider.add(ToolDescriptor(name, "For a test", OPEN, permissions=permissions), answer)
    await provider.start()


# -- all six ----------------------------------------------------------------------------------


@pytest.mark.feature("APP-02")
def test_a_price_becomes_a_plan_and_an_execution(market: Market) -> None:
    async def watch() -> EventRecorder:
        async with market(clock=VirtualClock()) as (_, recorder):
            await recorder.wait_for("execution.*", count=300, timeout=60)
        return recorder

    recorder = run_virtual(watch)
    assert recorder.on("$loom.error") == []
    plans = recorder.on("plan.ready")
    assert Counter(plan.data["symbol"] for plan in plans) == {"BTC": 100, "ETH": 100, "SOL": 100}
    assert all(plan.data["complete"] for plan in plans)
    by_hash = {plan.data["plan_hash"]: plan for plan in plans}
    assert len(by_hash) == 300
    for done in recorder.on("execution.*"):
        plan = by_hash[done.data["plan_hash"]]
        assert done.thread_id == plan.thread_id
        assert done.topic == f"execution.{plan.data['symbol'].lower()}"
        assert done.type == "execution.complete"
        assert done.data["status"] == ("hold" if plan.data["action"] == "HOLD" else "dry-run")
        assert done.data["executed"] is False
    bought = [plan.data for plan in plans if plan.data["action"] == "BUY"]
    assert bought
    for symbol in ("BTC", "ETH"):
        moments = [plan["price_ms"] for plan in bought if plan["symbol"] == symbol]
        gaps = [later - sooner for sooner, later in pairwise(moments)]
        assert min(gaps) >= 300_000, "the same action within 300 s is HOLD"
    prices = recorder.on("market.price.BTC")
    assert prices[0].type == "price.update"
    assert prices[0].data["price_change_percent"] != 0


def test_the_same_recording_is_decided_on_in_the_same_way(market: Market) -> None:
    days = iter((1_767_225_600.0, 1_767_312_000.0))

    async def watch() -> list[tuple[str, str, float]]:
        async with market(clock=VirtualClock(next(days))) as (_, recorder):
            plans = await recorder.wait_for("plan.ready", count=300, timeout=60)
        # The second run in the same folder finds the state of the first.
        return sorted((p.data["symbol"], p.data["action"], p.data["confidence"]) for p in plans)

    assert run_virtual(watch) == run_virtual(watch)


# -- complete or timeout ----------------------------------------------------------------------


@pytest.mark.feature("APP-03")
def test_a_plan_is_made_when_the_third_analysis_comes(market: Market) -> None:
    async def watch() -> tuple[float, dict[str, Any]]:
        clock = VirtualClock()
        async with market("planner", clock=clock) as (runtime, recorder):
            began = clock.time()
            await say(runtime.host("desk"), *KINDS)
            (plan,) = await recorder.wait_for("plan.ready")
            took = clock.time() - began
            await clock.sleep(10)
            assert len(recorder.on("plan.>")) == 1, "its timer is gone with it"
        return took, plan.data

    took, plan = run_virtual(watch)
    assert took < 0.5
    assert (plan["complete"], plan["action"], plan["method"]) == (True, "BUY", "rules")
    assert plan["sources"] == ["risk", "sentiment", "trend"]


@pytest.mark.feature("APP-03")
@pytest.mark.parametrize("late", KINDS)
def test_two_of_three_are_enough_when_the_time_is_over(market: Market, late: str) -> None:
    async def watch() -> dict[str, Any]:
        clock = VirtualClock()
        async with market("planner", clock=clock) as (runtime, recorder):
            await say(runtime.host("desk"), *(kind for kind in KINDS if kind != late))
            await clock.sleep(2.9)
            assert recorder.on("plan.ready") == []
            (plan,) = await recorder.wait_for("plan.ready", timeout=0.2)
            await say(runtime.host("desk"), late)
            await clock.sleep(10)
            assert len(recorder.on("plan.ready")) == 1, "what comes late changes nothing"
        return dict(plan.data)

    plan = run_virtual(watch)
    assert plan["complete"] is False
    assert late not in plan["sources"]
    assert plan["action"] == ("BUY" if late == "sentiment" else "HOLD")


@pytest.mark.feature("APP-03")
def test_one_of_three_is_not_and_that_is_told(market: Market) -> None:
    async def watch() -> dict[str, Any]:
        clock = VirtualClock()
        async with market("planner", clock=clock) as (runtime, recorder):
            await say(runtime.host("desk"), "trend")
            (missed,) = await recorder.wait_for("plan.missed", timeout=3.1)
            assert recorder.on("plan.ready") == []
        return dict(missed.data)

    missed = run_virtual(watch)
    assert missed["missing"] == ["risk", "sentiment"]
    assert missed["reason"] == "the time is over"


def test_all_three_are_needed_if_that_was_asked_for(market: Market) -> None:
    async def watch() -> list[str]:
        tables = {"planner": {"aggregation": "complete", "timeout_ms": 500}}
        clock = VirtualClock()
        async with market("planner", clock=clock, tables=tables) as (runtime, recorder):
            await say(runtime.host("desk"), "trend", "risk")
            await recorder.wait_for("plan.missed", timeout=0.6)
            await say(runtime.host("desk"), *KINDS, moment=120_000)
            await recorder.wait_for("plan.ready")
            return [event.topic for event in recorder.on("plan.*")]

    assert run_virtual(watch) == ["plan.due", "plan.missed", "plan.ready"]


def test_a_newer_price_that_is_complete_ends_the_wait_for_an_older_one(market: Market) -> None:
    async def watch() -> EventRecorder:
        clock = VirtualClock()
        async with market("planner", clock=clock) as (runtime, recorder):
            await say(runtime.host("desk"), "trend", "risk")
            await say(runtime.host("desk"), *KINDS, moment=120_000)
            await recorder.wait_for("plan.ready")
            await clock.sleep(10)
        return recorder

    recorder = run_virtual(watch)
    assert [plan.data["price_ms"] for plan in recorder.on("plan.ready")] == [120_000]
    assert [missed.data["price_ms"] for missed in recorder.on("plan.missed")] == [60_000]


@pytest.mark.feature("APP-03")
def test_another_process_goes_on_waiting(market: Market) -> None:
    async def watch() -> dict[str, Any]:
        clock = VirtualClock()
        async with market("planner", clock=clock) as (runtime, recorder):
            await say(runtime.host("desk"), "trend", "risk")
            await clock.sleep(1)
            assert recorder.on("plan.>") == []
        async with market("planner", clock=clock) as (_, recorder):
            (plan,) = await recorder.wait_for("plan.ready", timeout=2.1)
        return dict(plan.data)

    assert run_virtual(watch)["sources"] == ["risk", "trend"]


@pytest.mark.feature("APP-03")
def test_the_same_action_again_is_hold_until_the_time_is_over(market: Market) -> None:
    async def watch() -> list[tuple[str, float]]:
        async with market("planner", clock=VirtualClock()) as (runtime, recorder):
            for minute in (1, 2, 5, 6, 7):
                await say(runtime.host("desk"), *KINDS, moment=minute * 60_000)
            plans = await recorder.wait_for("plan.ready", count=5)
        return [(plan.data["action"], plan.data["confidence"]) for plan in plans]

    held = ("HOLD", 0.55)
    assert run_virtual(watch) == [("BUY", 0.75), held, held, ("BUY", 0.75), held]


# -- a model ----------------------------------------------------------------------------------


@pytest.mark.feature("APP-03")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"action": "SELL", "confidence": 0.8, "reasoning": "a model"}', ("SELL", 0.8, "model")),
        ('{"action": "SELL", "confidence": 80}', ("BUY", 0.75, "rules")),
        ("I would rather not say.", ("BUY", 0.75, "rules")),
        (ToolError("llm:generate", "ACTION_ERROR", "no credit"), ("BUY", 0.75, "rules")),
    ],
)
def test_a_model_decides_if_it_answers_with_a_decision(
    market: Market, answer: str | ToolError, expected: tuple[str, float, str]
) -> None:
    asked: list[dict[str, Any]] = []

    async def generate(call: ToolCall) -> dict[str, str]:
        asked.append(dict(call.arguments))
        if isinstance(answer, ToolError):
            raise answer
        return {"content": answer}

    async def watch() -> list[dict[str, Any]]:
        async with market("planner", clock=VirtualClock()) as (runtime, recorder):
            await offer(runtime, "llm:generate", generate)
            for moment in (60_000, 90_000):
                await say(runtime.host("desk"), *KINDS, moment=moment)
            return [plan.data for plan in await recorder.wait_for("plan.ready", count=2)]

    plan, second = run_virtual(watch)
    assert (plan["action"], plan["confidence"], plan["method"]) == expected
    assert second["method"] == "rules", "it is asked once in model_every_s"
    (question,) = asked
    assert set(question) == {"prompt", "system", "schema", "max_tokens", "temperature"}
    assert '"risk_score":0.1' in question["prompt"]


def test_a_models_opinion_of_headlines_is_asked_once(market: Market) -> None:
    asked: list[str] = []

    async def generate(call: ToolCall) -> dict[str, str]:
        asked.append(str(call.arguments["prompt"]))
        return {"content": '{"score": -0.9, "confidence": 0.6}'}

    async def watch() -> list[dict[str, Any]]:
        async with market("sentiment", clock=VirtualClock()) as (runtime, recorder):
            await offer(runtime, "llm:generate", generate)
            for minute in (4, 5, 6):
                price = {
                    "symbol": "BTC", "instrument": "BTC-USDT", "price": 1.0, "volume": 1.0,
                    "price_change_percent": 0.0, "high_24h": 1.0, "low_24h": 1.0,
                    "timestamp_ms": minute * 60_000, "series": 0, "source": "recorded",
                }  # fmt: skip
                await runtime.host("desk").publish("market.price.BTC", price)
            found = await recorder.wait_for("analysis.sentiment", count=3)
        assert {frozenset(event.labels) for event in found} == {frozenset({"untrusted"})}
        return [event.data["analysis"] for event in found]

    found = run_virtual(watch)
    assert {said["sentiment"] for said in found} == {"bearish"}
    assert {said["method"] for said in found} == {"model"}
    assert len(asked) == 1


# -- carrying out -----------------------------------------------------------------------------


def a_plan(now: float, action: Action = "BUY", **changes: Any) -> dict[str, Any]:
    wanted = Round("BTC", 1, 60_000, 9.0, {**PRICE, **changes}, {"trend": {}, "risk": {}}, [])
    plan = make_plan(wanted, Decision(action, 0.75, "because"), "rules", now)
    told: dict[str, Any] = msgspec.to_builtins(plan)
    return told


def carry_out(
    market: Market, *plans: dict[str, Any], trading: bool, grants: tuple[str, ...] = GRANT,
    sender: str = "planner", labels: tuple[str, ...] = (),
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """What is said of *plans*, and the orders that were placed."""
    orders: list[dict[str, Any]] = []

    async def place(call: ToolCall) -> dict[str, str]:
        orders.append(dict(call.arguments))
        return {"order_id": f"order-{len(orders)}"}

    async def watch() -> list[dict[str, Any]]:
        tables = {"executor": {"enable_trading": trading, "order_timeout_s": 2}}
        clock = VirtualClock(1000.0)
        async with market("executor", clock=clock, tables=tables, grants=grants) as (
            runtime, recorder,
        ):  # fmt: skip
            await offer(runtime, GRANT[0], place, "net")
            for plan in plans:
                await runtime.host(sender).publish("plan.ready", plan, labels=labels)
            await clock.sleep(5)
            return [event.data for event in recorder.on("execution.btc")]

    return run_virtual(watch), orders


@pytest.mark.feature("APP-04")
def test_the_same_plan_is_carried_out_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "yes")
    plan = a_plan(1000.0)
    done, orders = carry_out(market, plan, plan, a_plan(1001.0), trading=True)
    assert [one["status"] for one in done] == ["success", "skipped", "skipped"]
    assert done[0]["executed"] is True
    assert done[0]["order_id"] == "order-1"
    assert orders == [
        {
            "symbol": "BTC-USDT", "side": "buy", "size_usdt": 30.0,
            "client_order_id": plan["plan_hash"][:32],
        }
    ]  # fmt: skip
    done, orders = carry_out(market, plan, trading=True)  # the same folder, a new runtime
    assert [one["status"] for one in done] == ["skipped"]
    assert orders == []


@pytest.mark.feature("APP-04")
@pytest.mark.parametrize(("trading", "variable"), [(False, "yes"), (True, ""), (False, "")])
def test_with_a_switch_off_it_is_a_rehearsal(
    market: Market, monkeypatch: pytest.MonkeyPatch, trading: bool, variable: str
) -> None:
    monkeypatch.setenv(SWITCH, variable)
    done, orders = carry_out(market, a_plan(1000.0), trading=trading)
    assert [(one["status"], one["order_size_usdt"]) for one in done] == [("dry-run", 30.0)]
    assert orders == []


@pytest.mark.feature("APP-04")
def test_nothing_is_ordered_that_should_not_be(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "yes")
    plans = [
        a_plan(1000.0, "HOLD"), a_plan(900.0), a_plan(1000.0, source="recorded"),
        {**a_plan(1000.0), "action": "SELL"},
    ]  # fmt: skip
    done, orders = carry_out(market, *plans, trading=True)
    assert [one["status"] for one in done] == ["hold", "skipped", "dry-run"]
    assert "older than 60 s" in done[1]["message"]
    assert orders == []
    assert carry_out(market, a_plan(1000.0), trading=True, sender="somebody") == ([], [])


@pytest.mark.feature("APP-04")
@pytest.mark.parametrize(("grants", "labels"), [((), ()), (GRANT, ("untrusted",))])
def test_without_a_persons_yes_nothing_is_ordered(
    market: Market,
    monkeypatch: pytest.MonkeyPatch,
    grants: tuple[str, ...],
    labels: tuple[str, ...],
) -> None:
    """Neither without a grant nor, as live prices are words of strangers, with one."""
    monkeypatch.setenv(SWITCH, "yes")
    done, orders = carry_out(market, a_plan(1000.0), trading=True, grants=grants, labels=labels)
    assert [one["status"] for one in done] == ["error"]
    assert orders == []
