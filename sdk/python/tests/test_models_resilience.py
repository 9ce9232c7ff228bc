"""Failures of endpoints: tried again, left alone, gone round; on real servers, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from loom.contracts import ModelError, ModelReply, ModelRequest, TextDelta
from loom.models import Endpoints, LLMProvider, prompted, read_endpoints
from loom.models.breaker import Breaker
from loom.testing.models import Answer, FakeModels
from loom_kernel import ConfigError
from loom_kernel.testing import VirtualClock, run_virtual, wait_until

ASKED = ModelRequest(prompted("Hello", None))
DOWN = Answer(status=500)
Play = Callable[[Endpoints, FakeModels, VirtualClock], Awaitable[None]]


def play(script: Any, act: Play, **more: Any) -> None:
    """Let *act* ask an endpoint with *script*, in virtual time."""

    async def main() -> None:
        clock = VirtualClock()
        async with FakeModels(script) as models:
            table = {"model": "m", "api_base": models.url, **more}
            endpoints = Endpoints(read_endpoints({"fast": table}), clock, Random(1))
            try:
                await act(endpoints, models, clock)
            finally:
                await endpoints.aclose()

    run_virtual(main)


async def ask(endpoints: Endpoints, name: str = "fast") -> str:
    async with endpoints.stream(name, ASKED) as parts:
        async for part in parts:
            if isinstance(part, ModelReply):
                return part.content
    raise AssertionError("no reply")


async def listen(endpoints: Endpoints, heard: list[str]) -> None:
    """Add to *heard* what is said."""
    async with endpoints.stream("fast", ASKED) as parts:
        async for part in parts:
            heard += [part.text] if isinstance(part, TextDelta) else []


async def code_of(endpoints: Endpoints) -> str:
    """What comes of asking."""
    try:
        return await ask(endpoints)
    except ModelError as error:
        return error.code


@pytest.mark.feature("SDK-05", "LA-20")
def test_injected_failures_are_recovered_with_growing_random_pauses() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        began = clock.monotonic()
        assert await ask(endpoints) == "Hello"
        assert len(models.requests) == 4
        assert 0.5 < clock.monotonic() - began < 7, "0–1, 0–2 and 0–4 seconds"

    play([DOWN, DOWN, Answer(status=503), "Hello"], act)


@pytest.mark.feature("SDK-05", "LA-20")
def test_what_was_asked_to_wait_waits_and_not_longer() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        began = clock.monotonic()
        assert await ask(endpoints) == "Hello"
        assert 20 <= clock.monotonic() - began < 21
        with pytest.raises(ModelError) as asked:
            await ask(endpoints)
        assert (asked.value.code, asked.value.retry_after) == ("MODEL_RATE_LIMITED", 600.0)
        assert len(models.requests) == 3, "so long nobody waits here"

    wait = [Answer(status=429, retry_after="20"), "Hello", Answer(status=429, retry_after="600")]
    play(wait, act)


@pytest.mark.feature("SDK-05", "LA-20")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_cannot_help_is_not_tried_again(status: int) -> None:
    async def act(endpoints: Endpoints, models: FakeModels, _: VirtualClock) -> None:
        with pytest.raises(ModelError) as refused:
            await ask(endpoints)
        assert refused.value.is_final
        assert len(models.requests) == 1
        is_unauthorized = endpoints.records()[0].state == "unauthorized"
        assert is_unauthorized is (status in (401, 403))

    play([Answer(status=status)], act)


@pytest.mark.feature("LA-20")
def test_as_in_the_demo_three_failures_open_the_circuit() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, _: VirtualClock) -> None:
        got = [await code_of(endpoints) for _ in range(4)]
        assert got == ["MODEL_UNAVAILABLE"] * 3 + ["MODEL_CIRCUIT_OPEN"]
        assert len(models.requests) == 3, "the fourth was refused at once"
        assert endpoints.records()[0].state == "open"

    play(lambda _: DOWN, act, breaker_failures=3, retries=0)


@pytest.mark.feature("LA-20")
def test_answers_that_break_off_open_the_circuit_too() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        for _ in range(3):
            heard: list[str] = []
            with pytest.raises(ModelError) as broken:
                await listen(endpoints, heard)
            assert broken.value.code == "MODEL_INTERRUPTED"
            assert broken.value.partial == "".join(heard) != ""
        assert await code_of(endpoints) == "MODEL_CIRCUIT_OPEN"
        assert len(models.requests) == 3, "what was passed on is never asked for again"

    play(lambda _: Answer("x" * 100, cut=5), act, breaker_failures=3)


@pytest.mark.feature("LA-20")
def test_half_open_one_question_is_let_through_and_decides() -> None:
    answers = {"now": DOWN}

    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        assert [await code_of(endpoints) for _ in range(2)] == ["MODEL_UNAVAILABLE"] * 2
        await clock.sleep(59)
        assert await code_of(endpoints) == "MODEL_CIRCUIT_OPEN"
        await clock.sleep(2)
        assert await code_of(endpoints) == "MODEL_UNAVAILABLE", "the probe failed"
        assert await code_of(endpoints) == "MODEL_CIRCUIT_OPEN", "and it is left alone again"
        await clock.sleep(61)
        answers["now"] = Answer("Hello", delay=1)
        got = await asyncio.gather(*(code_of(endpoints) for _ in range(5)))
        assert sorted(got) == ["Hello"] + ["MODEL_CIRCUIT_OPEN"] * 4
        assert await asyncio.gather(*(code_of(endpoints) for _ in range(5))) == ["Hello"] * 5
        assert len(models.requests) == 2 + 1 + 1 + 5

    play(lambda _: answers["now"], act, breaker_failures=2, retries=0)


@pytest.mark.feature("LA-20")
def test_a_probe_that_is_cancelled_lets_the_next_one_try() -> None:
    answers = {"now": DOWN}

    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        await code_of(endpoints)
        await clock.sleep(61)
        answers["now"] = Answer("Hello", delay=5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ask(endpoints)
        answers["now"] = Answer("Hello")
        assert await ask(endpoints) == "Hello"
        await wait_until(lambda: models.open == 0)

    play(lambda _: answers["now"], act, breaker_failures=1, retries=0)


def test_a_late_failure_of_before_does_not_open_it_again() -> None:
    async def main() -> None:
        clock = VirtualClock()
        breaker = Breaker(1, 10.0, clock)
        first, second = breaker.admit(), breaker.admit()
        assert first is not None
        assert second is not None
        first.fail()
        await clock.sleep(11)
        probe = breaker.admit()
        assert probe is not None
        assert breaker.admit() is None, "there is one probe"
        second.fail()
        assert (breaker.state, breaker.admit()) == ("half_open", None)
        probe.succeed()
        second.fail()
        assert breaker.admit() is not None

    run_virtual(main)


@pytest.mark.feature("SDK-05")
def test_nothing_comes_for_too_long() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        for partial in ("", "xxxxxxxx"):
            began = clock.monotonic()
            with pytest.raises(ModelError) as late:
                await ask(endpoints)
            assert (late.value.code, late.value.partial) == ("MODEL_TIMEOUT", partial)
            assert clock.monotonic() - began < 8
        assert await ask(endpoints) == "x" * 40, "slow, but never silent for so long"
        await wait_until(lambda: models.open == 0)

    script = [
        Answer("x" * 40, delay=9),
        Answer("x" * 40, pause=9, eager=2),
        Answer("x" * 40, pause=2),
    ]
    play(script, act, timeout_sec=2.5, retries=0)


def test_an_answer_that_trickles_ends_in_the_end() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, clock: VirtualClock) -> None:
        began = clock.monotonic()
        assert await code_of(endpoints) == "MODEL_TIMEOUT"
        assert 19 < clock.monotonic() - began < 21
        await wait_until(lambda: models.open == 0)

    play([Answer("x" * 4000, pause=1)], act, total_sec=20, retries=0)


async def two(
    first: Any, second: Any, act: Callable[[Endpoints, FakeModels, FakeModels], Awaitable[None]]
) -> None:
    async with FakeModels(first) as one, FakeModels(second) as other:
        own = {"model": "m", "api_base": one.url, "retries": 0, "fallback": ["spare"]}
        spare = {"model": "s", "api_base": other.url, "retries": 0}
        clock = VirtualClock()
        tables = {"fast": own, "spare": spare}
        endpoints = Endpoints(read_endpoints(tables), clock, Random(1))
        try:
            await act(endpoints, one, other)
        finally:
            await endpoints.aclose()


@pytest.mark.feature("SDK-05")
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_fallback_answers_instead(status: int) -> None:
    async def act(endpoints: Endpoints, one: FakeModels, other: FakeModels) -> None:
        asked = ModelRequest(ASKED.messages, model="special")
        async with endpoints.stream("fast", asked) as parts:
            (*_, reply) = [part async for part in parts]
        assert isinstance(reply, ModelReply)
        assert (reply.content, reply.endpoint, reply.model) == ("You said: Hello", "spare", "s")
        assert one.requests[0].body["model"] == "special"

    run_virtual(lambda: two([Answer(status=status)], lambda a: f"You said: {a.prompt}", act))


@pytest.mark.feature("SDK-05")
def test_no_fallback_once_something_was_passed_on_and_all_problems_are_told() -> None:
    async def act(endpoints: Endpoints, one: FakeModels, other: FakeModels) -> None:
        with pytest.raises(ModelError) as broken:
            await ask(endpoints)
        assert broken.value.code == "MODEL_INTERRUPTED"
        assert not other.requests
        with pytest.raises(ModelError, match="fallbacks failed too: 'spare': MODEL_UNAUTHORIZED"):
            await ask(endpoints)

    script = [Answer("x" * 100, cut=5), DOWN]
    run_virtual(lambda: two(script, [Answer(status=401)], act))


def test_a_fallback_that_is_not_there_is_named() -> None:
    config = {"llm": {"a": {"model": "m", "api_base": "http://h/v1", "fallback": ["b"]}}}
    with pytest.raises(ConfigError, match=r"names 'b', and there is no \[llm.b\]"):
        LLMProvider.from_config(None, "a", config)


def test_a_driver_that_is_not_there_is_named() -> None:
    async def main() -> None:
        table = {"model": "m", "api_base": "http://h/v1", "type": "telepathy"}
        async with LLMProvider.from_config(None, "a", {"llm": {"a": table}}) as llm:
            with pytest.raises(ModelError, match=r"no driver of 'loom.models' speaks.*anthropic"):
                await llm.generate("x")

    asyncio.run(main())


def test_an_endless_answer_ends() -> None:
    async def act(endpoints: Endpoints, models: FakeModels, _: VirtualClock) -> None:
        with pytest.raises(ModelError, match="is over 33554432 characters") as endless:
            await ask(endpoints)
        assert endless.value.is_final

    play([Answer("x" * (40 << 20), piece=4 << 20)], act)
