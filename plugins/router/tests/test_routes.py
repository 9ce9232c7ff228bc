"""Each route, each limit, each level: what is decided, and who is really asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom.contracts import ToolError
from loom.testing.models import Answer
from loom_kernel import ConfigError, Envelope
from loom_kernel.testing import wait_until

from plugins.router.tests.conftest import THERE, housed

pytestmark = pytest.mark.anyio

ROUTES = [
    ("local", {"sure": 0.9}, {}),
    ("cloud", {"sure": 0.2}, {}),
    ("hybrid", {"sure": 0.7}, {}),
    ("local_fallback", {"sure": 0.2, "cost_cap": 0.0001}, {}),
    ("defer", {"sure": 0.2, "local": False}, {"privacy": "local-only"}),
    (
        "drop",
        {"sure": 0.2, "local": False, "when_forbidden": "drop"},
        {"privacy": "local-only"},
    ),
]


def event(**fields: Any) -> Envelope:
    return Envelope(type="note", source="loom://test", time=1.0, topic="note", **fields)


@pytest.mark.feature("RTE-01")
@pytest.mark.parametrize(("route", "settings", "wishes"), ROUTES, ids=[r for r, *_ in ROUTES])
async def test_each_route_can_be_reached(
    route: str, settings: dict[str, Any], wishes: dict[str, Any]
) -> None:
    async with housed(**settings) as house:
        decision = house.decide(**wishes)
        assert decision.route == route
        assert decision.reason
        (told,) = house.events.on("router.decided")
        assert told.data == decision


@pytest.mark.feature("RTE-06", "RTE-01")
async def test_the_chosen_endpoint_is_the_one_that_is_asked() -> None:
    async with housed(sure=0.9) as house:
        answer = await house.think("Hi")
        assert (answer["content"], answer["endpoint"]) == ("here: Hi", "small")
        assert answer["decision"]["route"] == "local"
        assert (len(house.here.requests), len(house.there.requests)) == (1, 0)
    async with housed(sure=0.1, latency_budget_ms=9000) as house:
        answer = await house.think("Hi")
        assert (answer["content"], answer["endpoint"]) == ("there: Hi", "large")
        assert (len(house.here.requests), len(house.there.requests)) == (0, 1)
        (told,) = house.events.on("llm.call.completed")
        assert told.data["gen_ai.agent.id"] == "ada"


@pytest.mark.feature("RTE-03")
async def test_little_time_keeps_a_thought_here() -> None:
    async with housed(sure=0.2) as house:
        decision = house.decide(latency_ms=50)
        assert (decision.route, decision.violations[0]) == ("local", "latency_budget")
        assert house.decide(latency_ms=150).route == "cloud"


@pytest.mark.feature("RTE-03")
async def test_what_elsewhere_takes_is_measured() -> None:
    slow = lambda _: Answer("slowly", delay=0.5)  # noqa: E731  # a script
    async with housed(there=slow, sure=0.2) as house:
        assert house.decide().route == "cloud", "100 ms are expected at first"
        await house.think("Hi")
        after = house.decide()
        assert (after.route, after.violations) == ("local", ("latency_budget", "quality"))
        assert house.decide(latency_ms=60_000).estimated_ms >= 250


@pytest.mark.feature("RTE-03")
async def test_costs_are_estimated_by_prices_and_corrected_by_bills() -> None:
    long = lambda _: Answer("much", tokens=(10, 6000))  # noqa: E731  # a script
    async with housed(there=long, sure=0.2, latency_budget_ms=9000) as house:
        before = house.decide()
        assert (before.route, before.endpoint) == ("cloud", "large")
        assert before.estimated_cost == pytest.approx(300 * 5e-6, rel=0.01)
        answer = await house.think("Hello")
        assert answer["decision"]["actual_cost"] == pytest.approx(0.03001)
        after = house.decide()
        assert (after.route, after.violations) == ("local_fallback", ("cost_cap", "quality"))
        assert house.decide(cost_cap=5.0).route == "local_fallback", "the owner's cap stays"


@pytest.mark.feature("RTE-03")
async def test_an_estimator_changes_the_route_and_a_bad_one_counts_as_none() -> None:
    async with housed(latency_budget_ms=9000) as house:
        assert house.decide("Classify: good or bad?").route == "local"
        hard = "Design and prove an algorithm, step by step. Compare the trade-offs. " * 30
        assert house.decide(hard).route == "cloud"
        assert house.decide("Hello", details={"tools": 8}).route in ("cloud", "hybrid")
    for value in (7.0, float("nan")):
        async with housed(sure=value) as house:
            assert [house.decide().route for _ in range(5)] == ["cloud"] * 5
            health = house.runtime.health()["router"]
            assert not health.healthy
            assert "constant" in health.message


async def test_an_estimator_that_is_not_there_is_named() -> None:
    with pytest.raises((AssertionError, ConfigError), match="nonesuch"):
        async with housed(estimators=["nonesuch"]):
            pass


@pytest.mark.feature("RTE-02")
@pytest.mark.parametrize(
    ("level", "trusted", "route"),
    [
        ("public", False, "cloud"),
        ("public", True, "cloud"),
        ("sensitive", True, "cloud"),
        ("sensitive", False, "local"),
        ("private", True, "local"),
        ("local-only", True, "local"),
    ],
)
async def test_four_levels_mean_four_things(level: str, trusted: bool, route: str) -> None:
    llm = {"large": {"trusted": trusted}}
    async with housed(sure=0.1, llm=llm, privacy=level) as house:
        decision = house.decide()
        assert (decision.route, decision.privacy) == (route, level)
        assert (await house.think("Hi"))["endpoint"] == ("large" if route == "cloud" else "small")


@pytest.mark.feature("RTE-02")
async def test_private_goes_only_where_the_owner_says() -> None:
    async with housed(sure=0.1, private_to=["large"], privacy="private") as house:
        assert house.decide().endpoint == "large"
        assert (await house.think("Hi"))["endpoint"] == "large"
        assert house.decide(privacy="local-only").endpoint == "small"
        for label, endpoint in (("private", "large"), ("local-only", "small")):
            assert house.decide(cause=event(labels=frozenset({label}))).endpoint == endpoint


@pytest.mark.feature("RTE-02", "X-02")
async def test_the_strictest_of_event_agent_and_labels_counts() -> None:
    agents = {"spy": {"privacy": "local-only"}, "press": {"privacy": "public"}}
    tables = {"agents": {"doctor": {"routing": {"privacy": "private", "quality": 0.1}}}}
    async with housed(sure=0.1, agents=agents, tables=tables) as house:
        levels = {name: house.decide(agent=name).privacy for name in ("ada", "spy", "press")}
        assert levels == {"ada": "sensitive", "spy": "local-only", "press": "public"}
        assert house.decide(agent="doctor").privacy == "private"
        said = event(metadata={"privacy": "private"})
        assert house.decide(cause=said, agent="press").privacy == "private"
        assert house.decide(cause=said, agent="spy").privacy == "local-only"
        labelled = event(labels=frozenset({"local-only"}))
        assert house.decide(cause=labelled, agent="press").privacy == "local-only"
        assert house.decide(agent="ada", privacy="public").privacy == "sensitive"
        odd = event(metadata={"privacy": "top secret"})
        assert house.decide(cause=odd, agent="press").privacy == "local-only"


@pytest.mark.feature("RTE-02")
async def test_what_is_sensitive_goes_elsewhere_once_at_most() -> None:
    fast = {**THERE, "model": "fast"}
    for level, route in (("public", "hybrid"), ("sensitive", "cloud")):
        settings: dict[str, Any] = {"privacy": level, "latency_budget_ms": 9000}
        async with housed(sure=0.7, local=False, llm={"fast": fast}, **settings) as house:
            learned = [house.decide() for _ in range(2)]
            assert learned[0].route == "cloud", "both are as fast, as far as is known"
            slow = house.decide()
            house.router.learn(slow, ms=900, cost=0.001, quality=None)
            decision = house.decide()
            assert decision.route == route


@pytest.mark.feature("RTE-01")
async def test_what_has_expired_is_dropped() -> None:
    async with housed(sure=0.1, local=False) as house:
        late = event(expires=2.0)
        assert house.decide(cause=late, privacy="local-only").route == "drop"
        assert house.decide(cause=late).route == "cloud"
        with pytest.raises(ToolError) as put_off:
            await house.think("Hi", privacy="local-only")
        assert put_off.value.code == "PROVIDER_UNAVAILABLE"
        assert "put off: it is local-only" in put_off.value.message
        assert put_off.value.details["decision"]["violations"] == ("privacy",)
        assert house.there.requests == []
    async with housed(sure=0.1, local=False, when_forbidden="drop") as house:
        with pytest.raises(ToolError) as dropped:
            await house.think("Hi", privacy="local-only")
        assert dropped.value.code == "PERMISSION_DENIED"


@pytest.mark.feature("RTE-04")
async def test_a_hybrid_answers_quickly_then_well() -> None:
    slow = lambda asked: Answer(f"there: {asked.prompt}", delay=0.1)  # noqa: E731  # a script
    async with housed(there=slow, sure=0.7, latency_budget_ms=9000) as house:
        answer = await house.think("Hi")
        assert (answer["phase"], answer["content"]) == ("refine", "there: Hi")
        (quick,) = house.events.on("tool.call.progressed")
        assert (quick.data.kind, quick.data.message) == ("quick", "here: Hi")
        order = [one.topic for one in house.events.events if one.topic.startswith("tool.call.")]
        assert order.index("tool.call.progressed") < order.index("tool.call.completed")
        decision = answer["decision"]
        assert (decision["endpoint"], decision["refine"]) == ("small", "large")
        assert decision["actual_ms"] >= 100


@pytest.mark.feature("RTE-04")
async def test_a_quick_answer_that_comes_late_is_not_told() -> None:
    slow = lambda _: Answer("late " * 100, delay=20.0)  # noqa: E731  # a script
    async with housed(here=slow, sure=0.7, latency_budget_ms=9000) as house:
        assert (await house.think("Hi"))["phase"] == "refine"
        assert house.events.on("tool.call.progressed") == []
        await wait_until(lambda: house.here.open == 0)


@pytest.mark.feature("RTE-04", "RTE-01")
async def test_without_the_better_answer_the_quick_one_stands() -> None:
    async with housed(there=lambda _: Answer(status=500), sure=0.7) as house:
        answer = await house.think("Hi")
        assert (answer["phase"], answer["content"]) == ("quick", "here: Hi")
        assert answer["decision"]["route"] == "local_fallback"
        assert "'large' failed: MODEL_UNAVAILABLE" in answer["decision"]["reason"]


@pytest.mark.feature("RTE-06")
async def test_another_one_answers_if_the_chosen_one_fails() -> None:
    broken = lambda _: Answer(status=500)  # noqa: E731  # a script
    async with housed(there=broken, sure=0.1, latency_budget_ms=9000) as house:
        answer = await house.think("Hi")
        assert (answer["content"], answer["decision"]["route"]) == ("here: Hi", "local_fallback")
    async with housed(here=broken, sure=0.9) as house:
        answer = await house.think("Hi")
        assert (answer["content"], answer["decision"]["route"]) == ("there: Hi", "cloud")
        with pytest.raises(ToolError) as failed:
            await house.think("Hi", privacy="private")
        assert failed.value.code == "PROVIDER_UNAVAILABLE"
        assert len(house.there.requests) == 1
        settled = house.events.on("router.settled")
        assert len(settled) == 2, "also what failed is told of"


@pytest.mark.feature("RTE-06")
async def test_who_fails_too_often_is_left_alone() -> None:
    broken = lambda _: Answer(status=500)  # noqa: E731  # a script
    llm = {"large": {"breaker_failures": 1}}
    async with housed(there=broken, sure=0.1, llm=llm, latency_budget_ms=9000) as house:
        assert house.decide().route == "cloud"
        await house.think("Hi")
        after = house.decide()
        assert (after.route, after.endpoint) == ("local_fallback", "small")
        assert (await house.think("Hi"))["content"] == "here: Hi"
        assert len(house.there.requests) == 1
    async with housed(there=broken, sure=0.1, llm=llm, local=False) as house:
        with pytest.raises(ToolError):
            await house.think("Hi")
        assert (house.decide().route, house.decide().reason) == (
            "defer",
            "no endpoint can be asked now",
        )


@pytest.mark.feature("RTE-06")
async def test_many_think_at_once() -> None:
    slow = lambda asked: Answer(f"there: {asked.prompt}", delay=0.05)  # noqa: E731  # a script
    async with (
        housed(there=slow, sure=0.7, latency_budget_ms=9000) as house,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(house.think(f"{number}")) for number in range(16)]
        answers = await asyncio.gather(*tasks)
    assert [one["content"] for one in answers] == [f"there: {number}" for number in range(16)]


async def test_a_caller_that_goes_ends_both_halves() -> None:
    slow = lambda _: Answer("late", delay=20.0)  # noqa: E731  # a script
    async with housed(here=slow, there=slow, sure=0.7, latency_budget_ms=9000) as house:
        calling = house.ada.spawn(house.think("Hi"), "think")
        await wait_until(lambda: house.here.open == 1 and house.there.open == 1)
        calling.cancel()
        await wait_until(lambda: house.here.open == 0 and house.there.open == 0, 2.0)
        await wait_until(lambda: bool(house.events.on("router.settled")))


async def test_a_fallback_of_the_endpoints_is_not_the_routers() -> None:
    broken = lambda _: Answer(status=500)  # noqa: E731  # a script
    llm = {"small": {"fallback": ["large"]}}
    async with housed(here=broken, sure=0.9, llm=llm, privacy="local-only") as house:
        with pytest.raises(ToolError):
            await house.think("Secret")
        assert house.there.requests == []


@pytest.mark.feature("RTE-03")
async def test_an_empty_purse_falls_back_to_what_costs_nothing() -> None:
    answers: list[Any] = []

    async def work(_: Envelope) -> None:
        answers.append(await house.think("Hi", max_tokens=100))

    async with housed(None, None, "budgets", sure=0.1, latency_budget_ms=9000) as house:
        with house.ada.on("job", handler=work):
            await house.runtime.host("user").publish("job", budget={"money": 1e-9, "calls": 9})
            await wait_until(lambda: bool(answers))
        assert answers[0]["decision"]["route"] == "local_fallback"
        assert "not enough money left" in answers[0]["decision"]["reason"]


async def test_parts_are_told_if_they_are_wanted() -> None:
    async with housed(sure=0.9) as house:
        await house.think("Hello there", stream=True)
        told = house.events.on("tool.call.progressed")
        assert "".join(one.data.message for one in told) == "here: Hello there"
        assert {one.data.kind for one in told} == {"text"}


@pytest.mark.feature("RTE-06")
async def test_two_answers_are_never_mixed() -> None:
    broken = lambda _: Answer("one two three four five six", cut=4)  # noqa: E731  # a script
    async with housed(there=broken, sure=0.1, latency_budget_ms=9000) as house:
        with pytest.raises(ToolError) as interrupted:
            await house.think("Hi", stream=True)
        assert interrupted.value.details["code"] == "MODEL_INTERRUPTED"
        assert house.here.requests == [], "a part of the other answer was told"
        assert (await house.think("Hi"))["content"] == "here: Hi"


async def test_an_answer_is_as_private_as_its_question() -> None:
    async def work(event: Envelope) -> None:
        await house.think("Hi", privacy="local-only")
        await house.ada.publish("said", "something")

    async with housed(sure=0.1) as house:
        said: list[Envelope] = []

        async def hear(event: Envelope) -> None:
            said.append(event)

        with house.ada.on("job", handler=work), house.ada.on("said", handler=hear):
            await house.runtime.host("user").publish("job")
            await wait_until(lambda: bool(said))
        assert said[0].labels == {"local-only"}


@pytest.mark.parametrize(
    "arguments", [{}, {"prompt": "Hi", "privacy": "secret"}, {"messages": [{"role": "x"}]}]
)
async def test_what_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    async with housed(sure=0.9) as house:
        with pytest.raises(ToolError) as refused:
            await house.call(arguments)
        assert refused.value.code == "INVALID_PARAMS"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"agents": {"ada": {"privacy": "secret"}}}, r"plugins\.router\.agents\.ada"),
        ({"agents": {"ada": {"latency": 5}}}, r"plugins\.router\.agents\.ada"),
        ({"private_to": ["nonesuch"]}, r"llm\.nonesuch"),
        ({"topics": ["a..b"]}, r"a\.\.b"),
    ],
)
async def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], told: str) -> None:
    with pytest.raises((AssertionError, ConfigError), match=told):
        async with housed(**settings):
            pass


async def test_without_a_trusted_endpoint_the_owner_is_told_what_to_do() -> None:
    async with housed(local=False, llm={"large": {"trusted": False}}) as house:
        with pytest.raises(ToolError, match="trusted = true"):
            await house.think("Hi")
        assert house.there.requests == []
