"""However causes go round or fan out, no more is spent than the first event was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom import Agent, Context, Envelope, ToolError, ToolProvider
from loom.contracts import Agents, Bridge, BudgetExceeded, Budgets, ToolCall, ToolDescriptor
from loom.hosting import joined
from loom_kernel import Host, Runtime, current
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual, running, wait_until
from loom_plugin_budgets.accounts import Account

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-03")]


def pass_on(host: Host, refused: list[BudgetExceeded], *topics: str) -> Callable[..., Any]:
    async def handle(envelope: Envelope) -> None:
        for topic in topics:
            try:
                await host.publish(topic, envelope.data)
            except BudgetExceeded as error:
                refused.append(error)

    return handle


async def test_a_storm_of_agents_that_wake_each_other_ends_with_nothing_overspent() -> None:
    refused: list[BudgetExceeded] = []
    async with running("budgets") as runtime:
        for name, to in (("a", ("b", "b")), ("b", ("c", "c")), ("c", ("a", "a"))):
            host = runtime.host(name)
            host.on(name, handler=pass_on(host, refused, *to))
        seen = EventRecorder(runtime.host("witness"), "a", "b", "c")
        await runtime.host("user").publish("a", budget={"events": 100})
        await wait_until(lambda: not runtime.bus.busy())
        assert len(seen.events) == 100
        assert refused
        assert refused[0].unit == "events"


async def test_a_fan_out_of_a_thousand_stops_where_the_budget_ends() -> None:
    refused: list[BudgetExceeded] = []
    async with running("budgets") as runtime:
        host = runtime.host("a")
        host.on("wide", handler=pass_on(host, refused, *["leaf"] * 1000))
        seen = EventRecorder(runtime.host("witness"), "leaf")
        await runtime.host("user").publish("wide", budget={"events": 301})
        await wait_until(lambda: len(refused) == 700)
        assert len(seen.events) == 300


async def test_a_first_event_without_a_budget_gets_the_default_and_each_its_own() -> None:
    refused: list[BudgetExceeded] = []
    config = {"plugins": {"budgets": {"default": {"events": 3}}}}
    async with running("budgets", config=config) as runtime:
        host = runtime.host("a")
        host.on("ask", handler=pass_on(host, refused, *["answer"] * 5))
        seen = EventRecorder(runtime.host("witness"), "answer")
        for _ in range(2):
            await runtime.host("user").publish("ask")
        await wait_until(lambda: len(refused) == 6)
        assert len(seen.events) == 4


async def test_calls_are_counted_before_they_are_made_and_who_is_given_less_has_less() -> None:
    ran: list[ToolCall] = []

    async def tool(call: ToolCall) -> None:
        ran.append(call)

    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        if event.data == "first":
            await ctx.emit("task", "second", budget={"calls": 2})
        for _ in range(6):
            try:
                await ctx.tool("test:count")
            except ToolError as error:
                codes.append((event.data, error.code))

    codes: list[tuple[str, str]] = []
    async with running("budgets", "tools", "agents") as runtime:
        provider = ToolProvider(runtime.host("provider"))
        provider.add(ToolDescriptor("test:count", "Counts", {"type": "object"}), tool)
        await provider.start()
        agents = runtime.host("office").require(Agents)
        worker = Agent("worker", ["task"], on_event=handle, concurrency="parallel:2")
        await agents.create(worker.definition())
        await runtime.host("user").publish("task", "first", budget={"calls": 7, "events": 10})
        await wait_until(lambda: len(codes) == 5)
        assert len(ran) == 7, "together no more than the first event was given"
        assert codes.count(("second", "BUDGET_EXCEEDED")) >= 4
        await agents.delete("worker")
        await provider.withdraw()


async def test_agents_in_other_processes_spend_from_the_same_budget() -> None:
    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        for _ in range(2):
            await ctx.emit("ping" if topic == "pong" else "pong")

    async with running("budgets", "agents", "bridge") as runtime:
        bridge = runtime.host("office").require(Bridge)
        one, two = bridge.issue("one"), bridge.issue("two")
        ping = Agent("ping", ["ping"], on_event=handle).definition()
        pong = Agent("pong", ["pong"], on_event=handle).definition()
        seen = EventRecorder(runtime.host("witness"), "ping", "pong")
        async with joined(ping, one.address, one.token), joined(pong, two.address, two.token):
            await runtime.host("user").publish("ping", budget={"events": 60})
            await wait_until(lambda: len(seen.events) >= 60)
            health = runtime.health
            await wait_until(lambda: health()["budgets"].metrics["refused"] > 3)
            assert len(seen.events) == 60


def test_time_is_a_budget_too() -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running("budgets", clock=clock) as runtime:
            user, spender = runtime.host("user"), runtime.host("spender")
            with spender.subscribe("job") as jobs:
                await user.publish("job", budget={"seconds": 60})
                job = await jobs.receive()
                assert job is not None
                current.set(job)
                await clock.sleep(59)
                await spender.publish("step")
                await clock.sleep(2)
                with pytest.raises(BudgetExceeded, match="seconds"):
                    await spender.publish("step")
                budgets = spender.require(Budgets)
                with pytest.raises(BudgetExceeded, match="seconds"):
                    budgets.spend(job, {"tokens": 1})

    run_virtual(main)


async def test_what_turns_out_dearer_is_spent_all_the_same() -> None:
    async with running("budgets") as runtime:
        with runtime.host("spender").subscribe("job") as jobs:
            await runtime.host("user").publish("job", budget={"tokens": 100})
            job = await jobs.receive()
            assert job is not None
            budgets = runtime.host("spender").require(Budgets)
            budgets.spend(job, {"tokens": 60})
            budgets.settle(job, {"tokens": 30})
            assert budgets.left(job)["tokens"] == 10
            with pytest.raises(BudgetExceeded, match="11 tokens would be more than the 10"):
                budgets.spend(job, {"tokens": 11})
            budgets.settle(job, {"tokens": -60})
            budgets.spend(job, {"tokens": 70})


async def test_a_hop_limit_ends_a_chain() -> None:
    refused: list[BudgetExceeded] = []
    async with running("budgets") as runtime:
        host = runtime.host("a")
        host.on("loop", handler=pass_on(host, refused, "loop"))
        seen = EventRecorder(runtime.host("witness"), "loop")
        await runtime.host("user").publish("loop", budget={"hops": 5})
        await wait_until(lambda: bool(refused))
        assert [event.hop for event in seen.events] == [0, 1, 2, 3, 4, 5]


async def test_a_budget_can_be_made_smaller_and_never_larger() -> None:
    async with running("budgets") as runtime:
        await _check_narrowing(runtime)


async def _check_narrowing(runtime: Runtime) -> None:
    host = runtime.host("a")
    problems: list[Exception] = []

    async def handle(envelope: Envelope) -> None:
        try:
            await host.publish("other", budget={"events": 1000})
        except Exception as error:  # noqa: BLE001  # it is looked at below
            problems.append(error)

    host.on("job", handler=handle)
    await runtime.host("user").publish("job", budget={"events": 10})
    await wait_until(lambda: bool(problems))
    assert "over its cause's" in str(problems[0])


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(1, 4)), max_size=60),
    st.integers(0, 20),
)
@settings(max_examples=60, deadline=None)
def test_no_tree_of_accounts_ever_spends_more_than_its_root(
    steps: list[tuple[int, int, int]], limit: int
) -> None:
    accounts = [Account({"events": limit}, 0.0, "t", None)]
    for choice, narrow, cost in steps:
        upper = accounts[choice % len(accounts)]
        if narrow:
            accounts.append(Account({"events": narrow}, 0.0, "t", upper))
        try:
            accounts[-1 if narrow else choice % len(accounts)].check({"events": cost})
        except BudgetExceeded:
            continue
        accounts[-1 if narrow else choice % len(accounts)].take({"events": cost})
    assert all(one.spent.get("events", 0.0) <= one.limits["events"] for one in accounts)
