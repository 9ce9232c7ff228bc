"""The decision log, the events of `topics`, requests, judgements, and what a restart keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom import Agent, Context
from loom.contracts import Agents, RouteDecision, ToolError
from loom.testing.models import Answer
from loom_kernel import Envelope
from loom_kernel.testing import wait_until

from plugins.router.tests.conftest import THERE, House, housed

pytestmark = pytest.mark.anyio


async def found(house: House, **query: Any) -> list[dict[str, Any]]:
    answer = await house.ada.request("router.decisions", query)
    assert "error" not in answer.data, answer.data
    decisions: list[dict[str, Any]] = answer.data["decisions"]
    return decisions


@pytest.mark.feature("RTE-05")
async def test_each_routed_event_has_one_record() -> None:
    answers: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        if event.data != "ignore":
            answers.append(await ctx.tool("llm:think", {"prompt": str(event.data)}))

    async with housed(None, None, "agents", sure=0.9, topics=["mail.>"]) as house:
        agents = house.ada.require(Agents)
        await agents.create(Agent("clerk", ["mail.>"], on_event=handle).definition())
        user = house.runtime.host("user")
        for number in range(3):
            await user.publish("mail.in", f"letter {number}")
        await user.publish("mail.in", "ignore", metadata={"agent": "clerk"})
        await user.publish("other", "not routed")
        await wait_until(lambda: len(answers) == 3)
        await agents.delete("clerk")
        records = await found(house)
        assert len(records) == 4
        events = {one["event_id"] for one in records}
        assert len(events) == 4
        assert {one["agent"] for one in records} == {"clerk"}
        thought = [one for one in records if one["actual_ms"] > 0]
        assert len(thought) == 3, "estimated and, once it was thought, actual"
        assert all(one["estimated_ms"] == 50 for one in thought[-1:])
        assert len(house.events.on("router.decided")) == 4
        settled = house.events.on("router.settled")
        assert [one.data.route for one in settled] == ["local"] * 3
        assert {one.subject for one in settled} < events


@pytest.mark.feature("RTE-05", "X-02")
async def test_a_standing_decision_gives_way_to_stricter_labels() -> None:
    answers: list[Any] = []

    async def work(event: Envelope) -> None:
        answers.append(await house.think("Hi", privacy="local-only"))

    async with housed(sure=0.1, topics=["job"]) as house:
        with house.ada.on("job", handler=work):
            await house.runtime.host("user").publish("job", "x")
            await wait_until(lambda: bool(answers))
        routes = [one.data.route for one in house.events.on("router.decided")]
        assert routes == ["cloud", "local"]
        assert house.there.requests == []


@pytest.mark.feature("RTE-02", "X-02")
async def test_what_an_event_says_of_its_privacy_holds_for_all_it_causes() -> None:
    seen: list[Envelope] = []

    async def pass_on(event: Envelope) -> None:
        await house.ada.publish("second", event.data)

    async def think(event: Envelope) -> None:
        seen.append(event)
        with pytest.raises(ToolError):
            await house.call({"prompt": "x", "model": "large"}, "llm:generate")
        assert (await house.think(str(event.data)))["endpoint"] == "small"
        seen.append(event)

    async with housed(sure=0.1, latency_budget_ms=9000) as house:
        with house.ada.on("first", handler=pass_on), house.ada.on("second", handler=think):
            user = house.runtime.host("user")
            await user.publish("first", "secret", metadata={"privacy": "private"})
            await wait_until(lambda: len(seen) == 2)
        assert seen[0].labels == {"private"}
        assert seen[0].metadata == {}
        assert house.there.requests == []


@pytest.mark.feature("RTE-02", "X-02")
async def test_what_is_private_goes_to_named_endpoints_by_the_router_only() -> None:
    answers: list[Any] = []

    async def think(event: Envelope) -> None:
        answers.extend([await house.think(str(event.data)) for _ in range(2)])
        for model in ("large", "other"):
            with pytest.raises(ToolError) as refused:
                await house.call({"prompt": "x", "model": model}, "llm:generate")
            assert refused.value.code == "PERMISSION_DENIED"
        answers.append(event)

    broken: dict[str, Any] = {**THERE, "fallback": ["large"]}
    async with housed(
        sure=0.1, latency_budget_ms=9000, llm={"other": broken}, private_to=["large"]
    ) as house:
        with house.ada.on("first", handler=think):
            user = house.runtime.host("user")
            await user.publish("first", "secret", metadata={"privacy": "private"})
            await wait_until(lambda: len(answers) == 3)
        assert [one["endpoint"] for one in answers[:2]] == ["large", "large"]
        assert [asked.prompt for asked in house.there.requests] == ["secret"] * 2
        done = house.events.on("tool.call.completed")
        assert all("private" in one.labels for one in done), "the answer is as private"


@pytest.mark.feature("RTE-05")
async def test_anybody_asks_for_a_decision_and_finds_it() -> None:
    async with housed(sure=0.7) as house:
        asked = {"agent": "", "event_type": "chat", "details": {"text": "Hello"}}
        answer = await house.ada.request("router.decide", asked)
        assert isinstance(answer.data, RouteDecision)
        assert (answer.data.route, answer.data.agent) == ("hybrid", "ada")
        house.decide(agent="bob", privacy="local-only")
        assert [one["agent"] for one in await found(house)] == ["bob", "ada"]
        assert len(await found(house, agent="bob")) == 1
        assert len(await found(house, route="hybrid")) == 1
        assert len(await found(house, endpoint="large")) == 1
        assert len(await found(house, limit=1)) == 1
        moment = answer.data.time
        assert await found(house, until=moment - 1) == []
        assert len(await found(house, since=moment)) == 2
        for wrong in ({"details": {"tools": "many"}}, {"privacy": 3}):
            refused = await house.ada.request("router.decide", {"agent": "x", **wrong})
            assert "error" in refused.data
        why = await house.ada.request("router.why", {"text": "Hi", "privacy": "private"})
        assert why.data["decision"]["endpoint"] == "small"
        assert why.data["forbidden"] == 1
        assert len(await found(house)) == 2, "why decides nothing"


@pytest.mark.feature("RTE-05")
async def test_a_restart_forgets_no_decision_and_nothing_learned(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with housed(sure=0.1, state=state, latency_budget_ms=9000, learning=True) as house:
        first = await house.think("Hi")
        await house.call({"decision": first["decision"]["id"], "quality": 0.3}, "router:rate")
        before = await found(house)
    folder = state / "plugins" / "router"
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    with (folder / "decisions.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')
    async with housed(sure=0.1, state=state, latency_budget_ms=9000, learning=True) as house:
        assert await found(house) == before
        house.decide()
        plan = (await house.ada.request("router.why", {"text": "Hi"})).data
        asked = {one["name"]: one["ms"] for one in plan["allowed"]}[first["endpoint"]]
        assert asked not in (50, 100), "measured before the restart"
    async with housed(state=state) as house:
        assert len(await found(house)) == 2
    (folder / "learned.json").write_text('{"version": 9}')
    async with housed(state=state) as house:
        assert (folder / "learned.unreadable").exists()
        assert house.decide().route in ("local", "cloud", "hybrid")


@pytest.mark.feature("RTE-05")
async def test_no_more_decisions_are_kept_than_the_owner_wants(tmp_path: Path) -> None:
    async with housed(sure=0.9, keep=10, state=tmp_path / "state") as house:
        for _ in range(300):
            house.decide()
        assert len(await found(house, limit=1000)) == 10
    async with housed(sure=0.9, keep=10, state=tmp_path / "state") as house:
        kept = await found(house, limit=1000)
        assert len(kept) == 10
        house.decide()
    lines = (tmp_path / "state/plugins/router/decisions.jsonl").read_bytes().splitlines()
    assert len(lines) <= 10, "written anew"


@pytest.mark.feature("RTE-07")
async def test_a_judgement_counts_only_for_what_is_known() -> None:
    async with housed(sure=0.9) as house:
        with pytest.raises(ToolError) as unknown:
            await house.call({"decision": "nonesuch", "quality": 1}, "router:rate")
        assert unknown.value.code == "INVALID_PARAMS"
        decision = (await house.think("Hi"))["decision"]
        await house.ada.publish("router.rated", {"decision": decision["id"], "quality": 0.0})
        await wait_until(lambda: house.runtime.health()["router"].metrics.get("rated") == 1)
        with pytest.raises(ToolError):
            await house.call({"decision": decision["id"], "quality": 2}, "router:rate")


@pytest.mark.feature("RTE-03")
async def test_what_went_badly_here_goes_elsewhere_next_time() -> None:
    async with housed(latency_budget_ms=9000) as house:
        assert house.decide("Say hello", event_type="thought").route == "local"
        for _ in range(8):
            decision = (await house.think("Say hello"))["decision"]
            if decision["route"] == "local":
                await house.call({"decision": decision["id"], "quality": 0.1}, "router:rate")
        assert house.decide("Say hello", event_type="thought").route in ("hybrid", "cloud")


async def test_a_figure_follows_the_newest_answers() -> None:
    times = iter([0.0] * 3 + [0.3] * 8)
    changing = lambda _: Answer("x", delay=next(times))  # noqa: E731  # a script
    async with housed(there=changing, sure=0.1, latency_budget_ms=9000) as house:
        for _ in range(3):
            await house.think("Hi")
        fast = house.decide().estimated_ms
        for _ in range(8):
            await house.think("Hi")
        assert house.decide().estimated_ms > 240
        assert house.decide().estimated_ms > fast


@pytest.mark.feature("RTE-05")
@pytest.mark.parametrize(
    "data", ["Hello", {"question": "Why?"}, {"n": 1}, ["a"], None, b"\xff\x00", object()]
)
async def test_whatever_an_event_carries_it_is_routed_or_goes_its_way(data: Any) -> None:
    heard: list[Envelope] = []

    async def hear(event: Envelope) -> None:
        heard.append(event)

    async with housed(topics=["job", "agent.*.job"]) as house:
        with house.ada.on("job", "agent.*.job", handler=hear):
            await house.ada.publish("job", data, ttl=1)
            await house.ada.publish("agent.bob.job", data, labels=["local-only"])
            await wait_until(lambda: len(heard) == 2)
        for decision in await found(house, agent="bob"):
            assert (decision["endpoint"], decision["privacy"]) == ("small", "local-only")
