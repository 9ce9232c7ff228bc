"""Waiting for each other: any order, timeouts with names, one round after the other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
from loom import BarrierTimeout, Context, barrier
from loom.contracts import BarrierStep
from loom_kernel import BusClosed, Runtime

Virtually = Callable[[Callable[[Runtime], Coroutine[Any, Any, None]]], None]


def contexts(runtime: Runtime, names: str) -> list[Context]:
    return [Context(runtime.host(name), name) for name in names]


async def come(ctx: Context, members: str, delay: float = 0.0, timeout_ms: float = 10_000) -> float:
    """When the member was released."""
    await asyncio.sleep(delay)
    await barrier(ctx, "gate", members, timeout_ms)
    return ctx.clock.monotonic()


@pytest.mark.feature("COL-05")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_all_are_released_by_the_last_whatever_the_order(
    virtually: Virtually, order: tuple[int, ...]
) -> None:
    async def scene(runtime: Runtime) -> None:
        started = runtime.host("x").clock.monotonic()
        waits = [
            come(ctx, "abc", delay)
            for ctx, delay in zip(contexts(runtime, "abc"), order, strict=True)
        ]
        assert await asyncio.gather(*waits) == [pytest.approx(started + 2)] * 3

    virtually(scene)


@pytest.mark.feature("COL-05")
def test_one_too_few_time_out_with_the_missing_names(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        waits = [come(ctx, "abcde", timeout_ms=2000) for ctx in contexts(runtime, "bcd")]
        errors = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(error) for error in errors] == [BarrierTimeout] * 3
        assert str(errors[0]) == "barrier 'gate': 'a', 'e' did not come within 2 s"
        assert {error.missing for error in errors if isinstance(error, BarrierTimeout)} == {
            ("a", "e")
        }

    virtually(scene)


@pytest.mark.feature("COL-05")
def test_who_left_is_missing_for_those_who_come_later(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b, c = contexts(runtime, "abc")
        found = await asyncio.gather(
            come(a, "abc", timeout_ms=1000),
            come(b, "abc", timeout_ms=3000),
            come(c, "abc", delay=2, timeout_ms=3000),
            return_exceptions=True,
        )
        assert [str(error) for error in found] == [
            "barrier 'gate': 'c' did not come within 1 s",
            "barrier 'gate': 'a' left again within 3 s",
            "barrier 'gate': 'a' did not come within 3 s",
        ]
        assert [getattr(error, "missing", None) for error in found] == [("c",), ("a",), ("a",)]
        assert [getattr(error, "left", None) for error in found] == [(), ("a",), ("b",)]

    virtually(scene)


@pytest.mark.feature("COL-05")
def test_who_left_may_come_again(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b = contexts(runtime, "ab")
        with pytest.raises(BarrierTimeout):
            await come(a, "ab", timeout_ms=1000)
        await asyncio.gather(come(b, "ab"), come(a, "ab", delay=5))

    virtually(scene)


@pytest.mark.feature("COL-05")
def test_in_the_last_moment_it_is_all_or_none(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b = contexts(runtime, "ab")
        found = await asyncio.gather(
            come(b, "ab", delay=2), come(a, "ab", timeout_ms=2000), return_exceptions=True
        )
        assert len({type(one) for one in found}) == 1

    virtually(scene)


@pytest.mark.corpus
@pytest.mark.feature("COL-05")
@pytest.mark.parametrize("seed", range(20))
def test_a_fast_member_cannot_mix_up_two_rounds(virtually: Virtually, seed: int) -> None:
    members, rounds = "abcde", 40
    entered = dict.fromkeys(members, 0)
    random = Random(seed)

    async def walk(ctx: Context) -> None:
        for number in range(1, rounds + 1):
            for _ in range(random.choice((0, 0, 1, 3))):
                await asyncio.sleep(0)
            await asyncio.sleep(random.choice((0, 0, 0, 0.5)))
            entered[ctx.agent_id] = number
            await barrier(ctx, "gate", members)
            assert min(entered.values()) >= number, entered

    async def scene(runtime: Runtime) -> None:
        await asyncio.gather(*map(walk, contexts(runtime, members)))

    virtually(scene)


@pytest.mark.feature("COL-05")
def test_a_member_that_is_killed_and_comes_again_releases_nobody(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b, c = contexts(runtime, "abc")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(come(a, "abc"))
            await asyncio.sleep(1)
            gone = BarrierStep("waiting", "of a process that was killed")
            await b.host.publish("collab.barrier.gate", gone, "collab.barrier")
            again = group.create_task(come(b, "abc"))
            await asyncio.sleep(1)
            assert not waiting.done()
            assert not again.done()
            last = group.create_task(come(c, "abc"))
        assert waiting.result() == again.result() == last.result()

    virtually(scene)


@pytest.mark.feature("COL-05")
def test_strangers_and_nonsense_change_nothing(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b, z = contexts(runtime, "abz")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(come(a, "ab"))
            await asyncio.sleep(1)
            for ctx in (b, z):
                for data in (
                    {"state": "asleep", "token": "x"},
                    b"\xff",
                    None,
                    {"state": "passed", "token": "x", "tokens": {"a": "y", "b": "z"}},
                    {"state": "left", "token": "x"},
                    {"state": "waiting", "token": "x", "to": "of another call"},
                ):
                    await ctx.host.publish("collab.barrier.gate", data)
            await z.host.publish("collab.barrier.gate", BarrierStep("waiting", "x"))
            await asyncio.sleep(1)
            assert not waiting.done()
            group.create_task(come(b, "ab"))

    virtually(scene)


def test_another_list_of_members_releases_nobody(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b = contexts(runtime, "ab")
        found = await asyncio.gather(come(b, "abc"), come(a, "ab", delay=1), return_exceptions=True)
        assert [getattr(error, "missing", None) for error in found] == [("c",), None]

    virtually(scene)


def test_two_names_are_two_barriers(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        a, b = contexts(runtime, "ab")
        found = await asyncio.gather(
            barrier(a, "one", "ab", 1000), barrier(b, "two", "ab", 1000), return_exceptions=True
        )
        assert [getattr(error, "missing", None) for error in found] == [("b",), ("a",)]

    virtually(scene)


def test_what_cannot_be_waited_for_is_refused(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        (a,) = contexts(runtime, "a")
        await barrier(a, "alone", ["a"])
        with pytest.raises(ValueError, match="none of its members"):
            await barrier(a, "gate", "bc")
        for name in ("", "a.b", "a b", "*"):
            with pytest.raises(ValueError, match="one token"):
                await barrier(a, name, "ab")
        with pytest.raises(ValueError, match="more than 0"):
            await barrier(a, "gate", "ab", 0)

    virtually(scene)


def test_the_end_of_the_runtime_ends_the_wait(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        (a,) = contexts(runtime, "a")

        async def end() -> None:
            await asyncio.sleep(1)
            await a.host.aclose()

        error, _ = await asyncio.gather(come(a, "ab"), end(), return_exceptions=True)
        assert isinstance(error, BusClosed)

    virtually(scene)
