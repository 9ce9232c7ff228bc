"""Simulated time: a day in no time, with the same code."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest
from loom_kernel import Envelope, RealClock
from loom_kernel.testing import VirtualClock, VirtualLoop, run_virtual, running, wait_until

pytestmark = pytest.mark.feature("X-20")

DAY = 24 * 3600


def test_a_day_of_waiting_takes_no_time() -> None:
    async def main() -> float:
        clock = VirtualClock()
        began = clock.time()
        for _ in range(24 * 60):
            await clock.sleep(60)
        return clock.time() - began

    real = time.perf_counter()
    assert run_virtual(main) == pytest.approx(DAY)
    assert time.perf_counter() - real < 10


def test_waits_end_in_the_order_of_their_times() -> None:
    order: list[int] = []

    async def wait(seconds: int) -> None:
        await asyncio.sleep(seconds)
        order.append(seconds)

    async def main() -> float:
        async with asyncio.TaskGroup() as tasks:
            for seconds in (3600, 5, DAY, 60, 1):
                tasks.create_task(wait(seconds))
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == pytest.approx(DAY)
    assert order == [1, 5, 60, 3600, DAY]


def test_time_stands_still_while_something_is_done() -> None:
    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == 0.0


def test_time_stands_still_while_a_thread_works() -> None:
    async def main() -> tuple[int, float]:
        code = [sys.executable, "-c", "pass"]
        async with asyncio.timeout(0.001):  # in virtual time the process takes none
            done = await asyncio.to_thread(subprocess.run, code)
        return done.returncode, asyncio.get_running_loop().time()

    assert run_virtual(main) == (0, 0.0)


def test_the_wall_clock_may_be_set() -> None:
    async def main() -> None:
        clock = VirtualClock(start=1000.0)
        waiting: list[float] = []

        async def wait() -> None:
            await clock.sleep_until(2000.0)
            waiting.append(clock.monotonic())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait())
            await asyncio.sleep(100)
            clock.set_wall(1995.0)
            assert clock.time() == 1995.0
        assert 105 <= waiting[0] <= 165, "noticed within a minute"

    run_virtual(main)


def test_a_whole_runtime_runs_on_it() -> None:
    async def main() -> list[float]:
        async with running(clock=VirtualClock(start=0.0)) as runtime:
            host = runtime.host("alice")
            times: list[float] = []

            async def note(event: Envelope) -> None:
                times.append(event.time)

            async def tick() -> None:
                for _ in range(24):
                    await host.clock.sleep(3600)
                    await host.publish("tick")

            host.on("tick", handler=note)
            await host.spawn(tick(), "ticks")
            await wait_until(lambda: len(times) == 24)
            return times

    assert run_virtual(main) == [pytest.approx(3600.0 * hour) for hour in range(1, 25)]


def test_virtual_and_real_clock_promise_the_same() -> None:
    async def main(clock: RealClock | VirtualClock) -> None:
        began, wall = clock.monotonic(), clock.time()
        await clock.sleep(0.01)
        assert clock.monotonic() - began > 0.005
        assert clock.time() - wall > 0.005
        await clock.sleep_until(clock.time() + 0.01)
        assert clock.time() - wall > 0.015
        await clock.sleep_until(clock.time() - 100)

    run_virtual(lambda: main(VirtualClock()))
    asyncio.run(main(RealClock()))


@pytest.mark.anyio
async def test_the_real_clock_notices_that_it_was_set() -> None:
    clock = RealClock(recheck=0.005)
    offset = 0.0
    clock.time = lambda: time.time() + offset
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(clock.sleep_until(clock.time() + 3600))
        await asyncio.sleep(0)
        offset = 3601.0


def test_the_loop_can_be_moved_by_hand() -> None:
    loop = VirtualLoop()
    loop.advance(5.0)
    assert loop.time() == 5.0
    loop.close()
