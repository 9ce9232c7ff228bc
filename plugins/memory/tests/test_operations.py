"""The nine operations, and the context of a session, as an agent calls them."""

from __future__ import annotations

import msgspec
import pytest
from loom.contracts import MEMORY_TOPICS, ContextItem, ExecutionRecord, PlanRecord
from loom.memory import MemoryRefused
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until

from plugins.memory.tests.conftest import Start, memory_of

BUY = PlanRecord(subject="BTC", action="BUY", confidence=0.7, reasoning="it rises")
DONE = ExecutionRecord(subject="BTC", action="BUY", status="succeeded", reference="o1")


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_plans_are_found_newest_first(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        for number in range(12):
            subject = "ETH" if number % 2 else "BTC"
            plan = PlanRecord(subject=subject, action=f"a{number}", metadata={"n": str(number)})
            await memory.save_plan(plan)
        assert [plan.action for plan in await memory.recent_plans(limit=3)] == ["a11", "a10", "a9"]
        assert len(await memory.recent_plans(limit=0)) == 10
        about = await memory.recent_plans("BTC", 100)
        assert [plan.action for plan in about] == ["a10", "a8", "a6", "a4", "a2", "a0"]
        assert about[0].metadata == {"n": "10"}
        assert about[0].time > 0


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_a_plan_has_the_name_it_was_given_or_one_of_its_own(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        made = await memory.save_plan(msgspec.structs.replace(BUY, time=1e9))
        assert made == await memory.save_plan(msgspec.structs.replace(BUY, time=1e9, method="llm"))
        assert made != await memory.save_plan(msgspec.structs.replace(BUY, time=1e9 + 1))
        assert await memory.save_plan(msgspec.structs.replace(BUY, plan_hash="mine")) == "mine"
        hashes = [plan.plan_hash for plan in await memory.recent_plans(limit=100)]
        assert hashes[0] == "mine"
        assert len(hashes) == 3, "the same plan again replaces it"


@pytest.mark.feature("BRG-08")
def test_a_repetition_is_one_within_the_window_only() -> None:
    async def ask() -> None:
        async with running("memory", clock=VirtualClock()) as runtime:
            memory = memory_of(runtime, "planner")
            await memory.save_plan(BUY)
            await runtime.host("test").clock.sleep(100)
            found = await memory.check_duplicate(BUY)
            assert found.duplicate is not None
            assert found.age == pytest.approx(100, abs=1)
            other = msgspec.structs.replace(BUY, reasoning="something else", confidence=0.1)
            assert (await memory.check_duplicate(other, 101.5)).duplicate == found.duplicate
            assert (await memory.check_duplicate(BUY, 60)).duplicate is None
            sell = msgspec.structs.replace(BUY, action="SELL")
            assert (await memory.check_duplicate(sell)).duplicate is None
            await runtime.host("test").clock.sleep(210)
            assert (await memory.check_duplicate(BUY, 0)).duplicate is None, "0 is 300 s"
            assert (await memory.execution_stats()).duplicates_prevented == 2

    run_virtual(ask)


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_only_what_succeeded_was_carried_out(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        assert await memory.check_executed("p1") is None
        failed = msgspec.structs.replace(DONE, status="failed", error_message="no money")
        await memory.mark_executed("p1", failed)
        assert await memory.check_executed("p1") is None
        await memory.mark_executed("p1", msgspec.structs.replace(DONE, amount=2.5, unit="USDT"))
        found = await memory.check_executed("p1")
        assert found is not None
        assert (found.plan_hash, found.amount, found.unit) == ("p1", 2.5, "USDT")
        skipped = msgspec.structs.replace(DONE, subject="ETH", status="skipped")
        for number in range(12):
            await memory.mark_executed(f"s{number}", skipped)
        stats = await memory.execution_stats()
        assert (stats.total, stats.succeeded, stats.failed, stats.skipped) == (14, 1, 1, 12)
        assert [one.plan_hash for one in stats.recent] == [f"s{n}" for n in range(11, 1, -1)]
        assert (await memory.execution_stats("BTC")).total == 2


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_the_newest_are_kept(life: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loom_plugin_memory.plans.EXECUTIONS", 20)  # 1,000 take their time
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        for number in range(105):
            await memory.save_plan(PlanRecord(subject="S", action=f"a{number}"))
        for number in range(25):
            await memory.mark_executed(f"p{number}", DONE)
        for number in range(505):
            await memory.append_event(f"event number{number}")
        plans = await memory.recent_plans(limit=100)
        assert [plan.action for plan in plans] == [f"a{n}" for n in range(104, 4, -1)]
        assert (await memory.execution_stats()).total == 20
        assert await memory.check_executed("p4") is None
        assert await memory.check_executed("p5") is not None
        assert (await memory.summarize()).events == 500
        for number, is_kept in ((4, False), (5, True)):
            found = [item.text for item in await memory.retrieve(f"number{number}", 100)]
            assert (f"event number{number}" in found) is is_kept


def test_the_limits_are_those_of_the_protocol() -> None:
    from loom_plugin_memory import episodes, plans

    assert (plans.PLANS, plans.EXECUTIONS, episodes.EVENTS) == (100, 1000, 500)


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_an_episode_is_told_in_few_words(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        assert (await memory.summarize()).summary == "nothing happened"
        for number in range(40):
            await memory.append_event(f"the printer printed page {number}\n" + "x" * 300)
        await memory.append_event("the printer caught fire")
        told = await memory.summarize()
        assert told.events == 41
        assert told.summary.startswith("41 events, ")
        assert len(told.summary) < 1500
        assert (await memory.summarize(1)).summary.endswith("the printer caught fire")


@pytest.mark.anyio
@pytest.mark.feature("STO-01")
async def test_context_is_found_by_kind_time_and_metadata(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        await memory.save_context(
            ContextItem(
                text=f"t{n}", kind="message" if n % 2 else "result", key=f"k{n}", time=1000 + n,
                importance=n / 10 if n != 3 else 1.0, metadata={"role": "user" if n < 5 else "bot"},
            )
            for n in range(10)
        )  # fmt: skip
        newest = await memory.query_context(limit=2)
        assert [item.text for item in newest] == ["t9", "t8"]
        assert (newest[0].kind, newest[0].key, newest[0].importance) == ("message", "k9", 0.9)
        found = await memory.query_context("message", filters={"role": "user"})
        assert [item.text for item in found] == ["t3", "t1"]
        important = await memory.query_context(order="important", limit=2, offset=1)
        assert [item.text for item in important] == ["t9", "t8"]
        assert len(await memory.query_context(since=1006)) == 4
        await memory.save_context([ContextItem(text="again", kind="message", key="k9", time=1)])
        assert [item.text for item in await memory.query_context("message")][-1] == "again"
        assert len(await memory.query_context()) == 10, "the same key replaces"


@pytest.mark.anyio
async def test_all_of_the_items_are_kept_or_none(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "planner")
        with pytest.raises(MemoryRefused, match="importance"):
            await memory.save_context([ContextItem(text="a"), ContextItem(text="b", importance=2)])
        assert await memory.query_context() == []


WRONG = [
    ("memory.plan.save", {"session_id": "", "plan": {"subject": "S"}}, "session_id"),
    ("memory.plan.save", {"session_id": "s", "plan": {"subject": ""}}, "subject"),
    ("memory.plan.save", {"session_id": "s", "plan": {"subject": "S", "confidence": 1.1}}, "conf"),
    ("memory.plan.save", {"session_id": "s"}, "plan"),
    ("memory.plan.recent", {"session_id": "s", "limit": 101}, "limit"),
    ("memory.plan.check", {"session_id": "s", "plan": {"subject": "S"}, "window": 59}, "window"),
    ("memory.plan.check", {"session_id": "s", "plan": {"subject": "S"}, "window": 86401}, "window"),
    ("memory.execution.mark", {"session_id": "s", "plan_hash": "", "execution": {
        "subject": "S", "status": "failed"}}, "plan_hash"),
    ("memory.execution.mark", {"session_id": "s", "plan_hash": "h", "execution": {
        "subject": "S", "status": "odd"}}, "status"),
    ("memory.execution.check", {"session_id": "s", "plan_hash": ""}, "plan_hash"),
    ("memory.event.append", {"session_id": "s", "text": "x" * 65_537}, "text"),
    ("memory.retrieve", {"session_id": "s", "query": "q", "limit": -1}, "limit"),
    ("memory.episode.summarize", {"session_id": "s", "max_events": 501}, "max_events"),
    ("memory.context.save", {"session_id": "s", "items": []}, "items"),
    ("memory.retrieve", ["no", "struct"], "Retrieve"),
]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_what_makes_no_sense_is_refused_and_says_what(life: Start) -> None:
    async with life() as runtime:
        host = runtime.host("planner")
        for topic, data, field in WRONG:
            error = (await host.request(topic, data)).data["error"]
            assert error["code"] == "INVALID_PARAMS", (topic, data)
            assert field in error["message"], (topic, error)
        bad = PlanRecord(subject="S", time=float("nan"))
        with pytest.raises(MemoryRefused, match="INVALID_PARAMS"):
            await memory_of(runtime, "planner").save_plan(bad)
        assert await memory_of(runtime, "planner", "s").recent_plans() == []


@pytest.mark.anyio
async def test_sessions_of_one_owner_are_bounded(life: Start) -> None:
    async with life(config={"plugins": {"memory": {"max_sessions": 2}}}) as runtime:
        for session in ("a", "b"):
            await memory_of(runtime, "planner", session).append_event("x")
        with pytest.raises(MemoryRefused, match=r"BUDGET_EXCEEDED.*forget one"):
            await memory_of(runtime, "planner", "c").append_event("x")
        await memory_of(runtime, "other", "c").append_event("x")
        await memory_of(runtime, "planner", "a").forget()
        await memory_of(runtime, "planner", "c").append_event("x")


@pytest.mark.anyio
async def test_a_session_that_is_forgotten_is_gone(life: Start) -> None:
    async with life() as runtime:
        memory, other = memory_of(runtime, "planner"), memory_of(runtime, "planner", "other")
        for one in (memory, other):
            await one.save_plan(BUY)
            await one.append_event("the rain fell")
            await one.save_context([ContextItem(text="umbrella", key="k")])
            await one.mark_executed("p", DONE)
        await memory.forget()
        assert await memory.recent_plans() == []
        assert await memory.query_context() == []
        assert await memory.retrieve("rain umbrella rising BTC") == []
        assert (await memory.execution_stats()).total == 0
        assert len(await other.retrieve("rain")) == 1
        assert runtime.health()["memory"].healthy


@pytest.mark.anyio
async def test_every_request_has_its_topic(life: Start) -> None:
    async with life() as runtime:
        listened = {p for s in runtime.status()["subscriptions"] for p in s["patterns"]}
        await wait_until(lambda: set(MEMORY_TOPICS.values()) <= listened)
        assert {f"ns.*.{topic}" for topic in MEMORY_TOPICS.values()} <= listened
