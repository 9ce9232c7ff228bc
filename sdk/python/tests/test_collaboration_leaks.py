"""Nothing is left behind: after a thousand calls, and wherever one is cancelled."""

from __future__ import annotations

import asyncio
import itertools
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import pytest
from loom import BarrierTimeout, Context, Envelope, barrier, bid, contract_net, fanout
from loom_kernel import RequestTimeout, Runtime
from loom_kernel.testing import wait_until

Virtually = Callable[[Callable[[Runtime], Coroutine[Any, Any, None]]], None]
Work = Coroutine[Any, Any, Any]
TARGETS = ("one", "two", "three")


@types.coroutine
def cancelled_at(step: int, work: Work) -> Generator[Any, Any, bool]:
    """Run *work* and cancel it where it waits for the *step*th time; whether it came so far."""
    resume: Callable[[], Any] = partial(work.send, None)
    for number in itertools.count():
        try:
            waited_for = resume()
        except StopIteration:
            return number > step
        if number == step:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield waited_for
        except BaseException as error:  # noqa: BLE001  # all of them are the work's
            resume = partial(work.throw, error)
        else:
            resume = partial(work.send, None)
    raise AssertionError


async def cancel(step: int, work: Work) -> bool:
    """As `cancelled_at`, in a task of its own; False = *work* was done before."""
    was_reached = False

    async def run() -> None:
        nonlocal was_reached
        was_reached = await cancelled_at(step, work)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
    return task.cancelled() or was_reached


class Cast:
    """Agents who answer, wait, bid and work, and one who is cancelled."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.star = self.enter("star")
        for topic in TARGETS:
            host = runtime.host(f"of-{topic}")
            host.on(topic, handler=partial(self._answer, host))
        for name, score in (("good", 1), ("better", 2), ("best", 3)):
            ctx = self.enter(name)
            ctx.host.on("job", handler=partial(self._bid, ctx, score))
        self.full = runtime.host("full").subscribe("full", capacity=1)
        runtime.host("filler").publish_nowait("full")
        self.start = self.count()

    def enter(self, name: str) -> Context:
        return Context(self.runtime.host(name), name)

    def count(self) -> int:
        return len(self.runtime.status()["subscriptions"])

    async def _answer(self, host: Any, event: Envelope) -> None:
        await asyncio.sleep(0.01)
        await host.reply(event, "yes")

    async def _bid(self, ctx: Context, score: float, call: Envelope) -> None:
        award = await bid(ctx, call, score=score)
        if award is not None:
            async with award:
                await asyncio.sleep(0.01)
                await (award.deliver("done") if score < 3 else award.fail("no"))

    async def wait(self, ctx: Context, timeout_ms: float = 1000) -> str:
        """The name of what came of a barrier of three."""
        try:
            await barrier(ctx, "gate", ["star", "left", "right"], timeout_ms)
        except BarrierTimeout as error:
            return f"without {', '.join(error.missing)}"
        return "passed"

    async def is_clean(self) -> None:
        await wait_until(lambda: self.count() == self.start, timeout=60)


def gather_all(cast: Cast) -> Work:
    return fanout(cast.star, TARGETS)


def gather_one(cast: Cast) -> Work:
    return fanout(cast.star, TARGETS, strategy="any")


def gather_short(cast: Cast) -> Work:
    return fanout(cast.star, [*TARGETS, "void"], timeout_ms=5)


def ask_for_two(cast: Cast) -> Work:
    async def ask() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await cast.star.request("one", first_k=2, timeout_ms=5000)

    return ask()


def ask_for_one(cast: Cast) -> Work:
    return cast.star.request("one", first_k=1)


def call(cast: Cast) -> Work:
    return contract_net(cast.star, "job", window_ms=10, timeout_ms=1000)


def wait_in_vain(cast: Cast) -> Work:
    return cast.wait(cast.star, timeout_ms=10)


def ask_the_full(cast: Cast) -> Work:
    return fanout(cast.star, [*TARGETS, "full"], timeout_ms=20)


def poll_the_full(cast: Cast) -> Work:
    async def ask() -> None:
        with pytest.raises(RequestTimeout):
            await cast.star.request("full", first_k=2, timeout_ms=20)

    return ask()


SCENES = [
    gather_all, gather_one, gather_short, ask_for_two, ask_for_one, call, wait_in_vain,
    ask_the_full, poll_the_full,
]  # fmt: skip


@pytest.mark.feature("COL-09")
@pytest.mark.parametrize("work", SCENES)
def test_a_thousand_calls_leave_nothing(virtually: Virtually, work: Callable[[Cast], Work]) -> None:
    async def scene(runtime: Runtime) -> None:
        cast = Cast(runtime)
        for _ in range(1000):
            await work(cast)
        await cast.is_clean()

    virtually(scene)


@pytest.mark.feature("COL-09")
def test_a_thousand_rounds_leave_nothing(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        cast = Cast(runtime)
        trio = [cast.star, cast.enter("left"), cast.enter("right")]

        async def walk(ctx: Context) -> None:
            for _ in range(1000):
                assert await cast.wait(ctx) == "passed"

        await asyncio.gather(*map(walk, trio))
        assert cast.count() == cast.start

    virtually(scene)


@pytest.mark.feature("COL-09")
@pytest.mark.parametrize("work", SCENES)
def test_wherever_it_is_cancelled_nothing_is_left(
    virtually: Virtually, work: Callable[[Cast], Work]
) -> None:
    async def scene(runtime: Runtime) -> None:
        cast = Cast(runtime)
        steps = 0
        while await cancel(steps, work(cast)):
            await cast.is_clean()
            steps += 1
        assert steps > 0

    virtually(scene)


@pytest.mark.feature("COL-05")
@pytest.mark.feature("COL-09")
@pytest.mark.parametrize("delay", [0, 0.5])
def test_a_member_that_is_cancelled_is_missing_or_was_there(
    virtually: Virtually, delay: float
) -> None:
    async def scene(runtime: Runtime) -> None:
        cast = Cast(runtime)
        others = [cast.enter("left"), cast.enter("right")]

        async def later(ctx: Context, seconds: float) -> str:
            await asyncio.sleep(seconds)
            return await cast.wait(ctx)

        outcomes: list[tuple[str, str]] = []
        for step in itertools.count():
            was_reached, *outcome = await asyncio.gather(
                cancel(step, later(cast.star, 0.1)),
                later(others[0], 0),
                later(others[1], delay),
            )
            outcomes.append((outcome[0], outcome[1]))
            await cast.is_clean()
            if not was_reached:
                break
        assert len(outcomes) > 2
        assert set(outcomes) <= {("passed", "passed"), ("without star", "without star")}
        assert outcomes[-1] == ("passed", "passed")

    virtually(scene)


@pytest.mark.feature("COL-07")
@pytest.mark.feature("COL-09")
def test_wherever_a_bidder_is_cancelled_the_call_goes_on(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        cast = Cast(runtime)
        calls = runtime.host("idle").subscribe("job")
        winners: list[str] = []

        async def act(step: int) -> bool:
            event = await calls.receive()
            assert event is not None

            async def work() -> None:
                award = await bid(cast.star, event, score=9)
                assert award is not None
                async with award:
                    await asyncio.sleep(0.01)
                    await award.deliver("mine")

            return await cancel(step, work())

        for step in itertools.count():
            caller = cast.enter("caller")
            settlement, was_reached = await asyncio.gather(
                contract_net(caller, "job", window_ms=10, timeout_ms=60_000, reserves=3),
                act(step),
            )
            assert settlement.is_complete
            assert settlement.elapsed < 1
            is_awarded = any(contract.winner == "star" for contract in settlement.contracts)
            assert is_awarded == (step > 0), "a bid that is withdrawn in time is not awarded"
            winners.append(settlement.winner)
            if not was_reached:
                break
        assert set(winners[:-1]) == {"better"}
        assert winners[-1] == "star"
        assert len(winners) > 2
        calls.close()

    virtually(scene)
