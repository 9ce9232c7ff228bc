"""R10, R20: the journal on one thread in virtual time. A seed says all that goes wrong.

The same seed gives the same trace, to the last delivery: whatever a seed finds can be looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
from loom.contracts import Retry
from loom_kernel import Envelope, Host, Runtime
from loom_kernel.testing import VirtualClock, VirtualLoop, running, wait_until
from loom_plugin_journal import (
    Batch,
    Journal,
    JournalUnavailable,
    Receipt,
    Settings,
    Slots,
    SqliteStore,
)

SEEDS = 1000 if os.environ.get("LOOM_TEST_LONG") else 6
HOUR, DAY, YEAR = 3600.0, 86_400.0, 31_557_600.0
EVENTS = 40
SETTINGS = Settings(
    store="sqlite", topics=(), window=8, deliveries=6, crashes=1000, ack_wait=30.0,
    background_sync=1.0, max_lag=1_000_000, keep=7.0, record=False,
)  # fmt: skip


class OneThread(VirtualLoop):
    """What is given to threads is done at once: nothing depends on the machine."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # as its base
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001  # it belongs to who awaits it
            future.set_exception(error)
        return future


class FailingStore(SqliteStore):
    """A store whose disk fails now and then, as the seed says."""

    random = Random(0)
    rate = 0.0

    def commit(self, batch: Batch) -> list[Receipt]:
        if self.random.random() < self.rate:
            raise OSError(5, "the disk failed")
        return super().commit(batch)


class World:
    """Publishers and consumers over several lives, and what is known of every event."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.folder = folder
        self.clock = VirtualClock()
        self.trace: list[str] = []
        self.accepted: list[int] = []
        self.done: dict[str, list[int]] = {"one": [], "two": []}
        self.life = 0
        self.is_over = False
        self.number = 0

    def say(self, *words: object) -> None:
        now = asyncio.get_running_loop().time()
        self.trace.append(" ".join(map(str, (round(now, 6), *words))))

    async def live(self) -> None:
        """One life, with a crash at its end unless it is the last."""
        state = self.folder / str(self.life)
        async with running(state=self.folder / "runtime", clock=self.clock, seed=1) as runtime:
            host = runtime.host("journal")
            store = FailingStore(state, ballast=0)
            store.random, store.rate = self.random, 0.0 if self.is_over else 0.08
            journal = Journal(host, store, Slots(state / "handled"), SETTINGS)
            await self.work(runtime)
            if self.is_over:
                await wait_until(
                    lambda: not journal.health().metrics["left"], timeout=HOUR, every=0.05
                )
            else:
                shutil.copytree(state, self.folder / str(self.life + 1))
            self.life += 1
            store.rate = 0.0
            await journal.aclose()
            await host.aclose()

    async def work(self, runtime: Runtime) -> None:
        life = self.life
        hosts = [runtime.host(name) for name in self.done]
        for host in hosts:
            host.on("order.*", handler=self.handler(host, life), durable=host.name)
        if not self.is_over:
            shops = [runtime.host(f"shop{n}") for n in range(3)]
            await asyncio.gather(*(self.publish(shop, EVENTS // 3) for shop in shops))
        else:
            everything = set(self.accepted)
            await wait_until(
                lambda: all(set(done) >= everything for done in self.done.values()),
                timeout=HOUR,
                every=0.05,
            )
            await asyncio.sleep(1.0)  # the last one is done with, too
        for host in hosts:
            await host.aclose()

    async def publish(self, shop: Host, count: int) -> None:
        for _ in range(count):
            self.number += 1
            number = self.number
            try:
                await shop.publish(f"order.{number % 2}", number, thread_id=f"t{number % 3}")
            except JournalUnavailable:
                self.say("refused", number)
            else:
                self.accepted.append(number)
                self.say("accepted", number)
            if self.random.random() < 0.1:
                wall = self.clock.time() + self.random.choice([-HOUR, DAY, 10 * YEAR, 1.0])
                self.clock.set_wall(min(wall, 9e9))
            await asyncio.sleep(self.random.choice([0.0, 0.001, 0.02, 0.5]))

    def handler(self, host: Host, life: int) -> Callable[[Envelope], Coroutine[Any, Any, None]]:
        async def handle(envelope: Envelope) -> None:
            self.say(host.name, "handles", envelope.data)
            await asyncio.sleep(self.random.choice([0.0, 0.001, 0.1]))
            if self.random.random() < 0.1 and not self.is_over:
                raise Retry("not now")
            if life == self.life:
                self.done[host.name].append(envelope.data)

        return handle


def simulate(folder: Path, seed: int) -> World:
    """Three lives of a world; in the last one nothing fails and all is handled."""

    async def lives() -> World:
        world = World(folder, seed)
        for life in range(3):
            world.is_over = life == 2
            await world.live()
        return world

    folder.mkdir()
    with asyncio.Runner(loop_factory=OneThread) as runner:
        return runner.run(lives())


def digest(world: World) -> str:
    return hashlib.sha256("\n".join(world.trace).encode()).hexdigest()


@pytest.mark.feature("X-05")
@pytest.mark.reliability("R10")
@pytest.mark.timeout(900)
def test_whatever_a_seed_breaks_what_was_accepted_is_handled(tmp_path: Path) -> None:
    refused = 0
    for seed in range(SEEDS):
        world = simulate(tmp_path / str(seed), seed)
        for name, done in world.done.items():
            lost = set(world.accepted) - set(done)
            assert not lost, f"seed {seed}: {name} never handled {sorted(lost)}"
        refused += sum("refused" in line for line in world.trace)
        shutil.rmtree(tmp_path / str(seed))
    assert refused > SEEDS, "disks did fail"


@pytest.mark.reliability("R10")
def test_the_same_seed_gives_the_same_trace(tmp_path: Path) -> None:
    first, again, other = (
        digest(simulate(tmp_path / name, seed)) for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert first == again != other


@pytest.mark.feature("X-07")
@pytest.mark.reliability("R20")
@pytest.mark.parametrize("jump", [-HOUR, DAY, 10 * YEAR])
def test_a_clock_that_is_set_neither_hastens_a_retry_nor_ages_the_log(
    tmp_path: Path, jump: float
) -> None:
    async def main() -> None:
        clock, seen = VirtualClock(), []

        async def fail_once(envelope: Envelope) -> None:
            seen.append(clock.monotonic())
            if len(seen) == 1:
                raise Retry("in ten seconds", 10.0)

        async with running("journal", state=tmp_path / "s", clock=clock) as runtime:
            runtime.host("away").subscribe("order", durable="away").close()
            runtime.host("clerk").on("order", handler=fail_once, durable="clerk")
            await runtime.host("shop").publish("order", 1)
            await asyncio.sleep(1.0)
            clock.set_wall(clock.time() + jump)
            await wait_until(lambda: len(seen) == 2, timeout=60)
            assert seen[1] - seen[0] == pytest.approx(10.0, abs=0.05)
            await asyncio.sleep(0.9 * HOUR)
            clock.set_wall(clock.time() - jump)
            await asyncio.sleep(HOUR)  # a cleaning has been due
            got: list[Any] = []

            async def take(envelope: Envelope) -> None:
                got.append(envelope.data)

            runtime.host("away").on("order", handler=take, durable="away")
            await wait_until(lambda: got == [1], timeout=60)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
