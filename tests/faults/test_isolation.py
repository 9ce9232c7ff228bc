"""R7, R8, R26: a slow, failing or flooding part harms nobody else. Short forms, in counts."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
from loom import Agent, ToolProvider
from loom.contracts import Agents, ToolCall, ToolDescriptor
from loom_kernel import BackpressureTimeout, Envelope, Host, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until

pytestmark = pytest.mark.anyio

PAYLOAD = b"x" * 512


class Reader:
    """A handler that counts, and remembers how long each event was on its way."""

    def __init__(self, host: Host, topic: str, **options: Any) -> None:
        self.host = host
        self.got: list[Any] = []
        self.delays: list[float] = []
        self.subscription = host.on(topic, handler=self._handle, **options)

    async def _handle(self, event: Envelope) -> None:
        self.got.append(event.data)
        self.delays.append(self.host.clock.time() - event.time)


async def publish_for_all(host: Host, readers: list[Reader], count: int) -> float:
    """Publish *count* events and wait until every reader has them; the seconds it took."""
    began = host.clock.monotonic()
    already = len(readers[0].got)
    for number in range(count):
        await host.publish("shared", number)
        if number % 16 == 0:
            await asyncio.sleep(0)
    await wait_until(lambda: all(len(one.got) == already + count for one in readers), timeout=60)
    return host.clock.monotonic() - began


@pytest.mark.feature("BUS-09")
@pytest.mark.reliability("R7")
async def test_a_stalled_and_a_failing_subscriber_harm_no_other() -> None:
    async with running() as runtime:
        publisher = runtime.host("publisher")
        readers = [Reader(runtime.host(f"n{number}"), "shared") for number in range(18)]
        alone = await publish_for_all(publisher, readers, 1500)
        quiet = [median(one.delays) for one in readers]
        for one in readers:
            one.delays.clear()

        async def fail(event: Envelope) -> None:
            raise ValueError("always")

        async def stall(event: Envelope) -> None:
            await asyncio.Event().wait()

        bad = runtime.host("bad")
        failing = bad.on("shared", handler=fail, qos="realtime", capacity=16)
        stalled = bad.on("shared", handler=stall, qos="realtime", capacity=64)
        together = await publish_for_all(publisher, readers, 1500)
        assert all(one.got == [*range(1500), *range(1500)] for one in readers)
        assert together < 6 * alone + 2, "they keep their pace"
        assert median(median(one.delays) for one in readers) < 10 * median(quiet) + 0.1
        stats = stalled.stats()
        assert stats.delivered == 1
        assert stats.dropped == {"overflow": 1500 - 1 - 64}
        assert stats.offered == 1500 == 1 + 64 + stats.dropped["overflow"]
        assert failing.stats().failed == failing.stats().delivered > 0
        await bad.aclose()


@pytest.mark.feature("BUS-09")
@pytest.mark.reliability("R7")
async def test_the_gaps_that_a_slow_realtime_subscriber_sees_are_its_drops() -> None:
    async with running() as runtime:
        host = runtime.host("publisher")
        seen: list[Envelope] = []

        async def slowly(event: Envelope) -> None:
            seen.append(event)
            for _ in range(40):
                await asyncio.sleep(0)

        slow = host.on("shared", handler=slowly, qos="realtime", capacity=8)
        for number in range(2000):
            await host.publish("shared", number)
            await asyncio.sleep(0)
        await wait_until(lambda: slow.queued == 0)
        dropped = sum(slow.stats().dropped.values())
        assert dropped > 1000
        assert sum(event.dropped_before for event in seen) == dropped
        for before, after in pairwise(seen):
            assert after.data - before.data == after.dropped_before + 1


@pytest.mark.feature("BUS-05")
@pytest.mark.feature("BUS-07")
@pytest.mark.reliability("R8")
async def test_ten_times_too_much_is_slowed_or_shed_and_memory_stays() -> None:
    """One consumer a quality of service takes one event while ten are published."""
    config = {"bus": {"threshold": 3000, "credit_timeout": 60.0}}
    async with running(config=config) as runtime:
        host = runtime.host("publisher")
        got: dict[str, int] = {"realtime": 0, "batched": 0, "background": 0}
        subscriptions = {
            qos: host.subscribe("flood", qos=qos)  # type: ignore[arg-type]  # the three names
            for qos in got
        }

        async def consume(qos: str) -> None:
            while (await subscriptions[qos].receive()) is not None:
                got[qos] += 1
                for _ in range(10):
                    await asyncio.sleep(0)

        for qos in got:
            host.spawn(consume(qos), qos)
        process = psutil.Process()
        total, waited, sizes = 12_000, 0, []
        for number in range(total):
            full = subscriptions["batched"].queued >= subscriptions["batched"].capacity
            await host.publish("flood", PAYLOAD + number.to_bytes(4, "big"))
            waited += full
            if number % 2000 == 1999:
                gc.collect()
                sizes.append(process.memory_info().rss)
            assert runtime.bus.queued <= 64 + 1024 + 4096 + 1
        await wait_until(lambda: got["batched"] == got["background"] == total, timeout=60)
        assert waited > 1000, "the publisher was slowed down"
        assert max(sizes) - sizes[0] < 64 << 20
        for qos in ("batched", "background"):
            assert subscriptions[qos].stats().dropped == {}
        realtime = subscriptions["realtime"].stats()
        assert realtime.offered == total
        assert got["realtime"] + sum(realtime.dropped.values()) + realtime.queued == total
        await host.aclose()


@pytest.mark.feature("BUS-04")
@pytest.mark.reliability("R8")
async def test_publishing_to_realtime_alone_never_waits() -> None:
    async with running() as runtime:
        host = runtime.host("publisher")
        host.subscribe("flood", qos="realtime")
        steps = 0

        async def count_steps() -> None:
            nonlocal steps
            while True:
                await asyncio.sleep(0)
                steps += 1

        counting = host.spawn(count_steps(), "steps")
        await asyncio.sleep(0)
        before = steps
        for _ in range(20_000):
            await host.publish("flood", PAYLOAD)
        assert steps == before, "the publisher never gave its turn away"
        counting.cancel()


@pytest.mark.reliability("R8")
async def test_a_flood_without_consumer_ends_with_an_error_and_bounded_memory() -> None:
    async with running(config={"bus": {"credit_timeout": 0.01}}) as runtime:
        host = runtime.host("publisher")
        stuck = host.subscribe("flood", capacity=100)
        refused = 0
        for _ in range(150):
            try:
                await host.publish("flood", PAYLOAD)
            except BackpressureTimeout:
                refused += 1
        assert (stuck.queued, refused, stuck.dropped) == (100, 50, {"timeout": 50})


class Watchdog:
    """A thread that asks the loop for a sign of life, and says where it stood when late."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.worst = 0.0
        self.where = ""
        self._loop = loop
        self._main = threading.main_thread().ident or 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            asked, seen = time.perf_counter(), threading.Event()
            self._loop.call_soon_threadsafe(seen.set)
            where = ""
            while not seen.wait(0.05):
                frame = sys._current_frames().get(self._main)
                where = where or "".join(traceback.format_stack(frame, 8))
                if self._ended.is_set():
                    return
            lag = time.perf_counter() - asked
            if lag > self.worst:
                self.worst, self.where = lag, where

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()


async def use_everything(runtime: Runtime, folder: Path) -> int:
    """Drop files, run tools, agents and timers for a while; how many reports were made."""
    host = runtime.host("outside")
    events = EventRecorder(runtime.host("witness"), "report.made")

    async def react(ctx: Any, topic: str, event: Envelope) -> None:
        written = await ctx.tool(
            "fs:write_file", {"path": f"r{event.data['relative']}", "content": "x"}
        )
        listed = await ctx.tool("fs:list_dir")
        await ctx.tool("crunch")
        await ctx.emit("report.made", [written, len(listed["entries"])])

    agent = Agent("writer", ["file.notes.created"], on_event=react)
    await host.require(Agents).create(agent.definition())

    async def crunch(call: ToolCall) -> int:
        return await asyncio.to_thread(sum, range(2_000_000))

    provider = ToolProvider(host)
    provider.add(ToolDescriptor("crunch", "crunch", {"type": "object"}), crunch)
    await provider.start()
    for number in range(60):
        (folder / f"{number}.txt").write_text("hello " * 1000)
        await asyncio.sleep(0)
    return len(await events.wait_for("report.made", 60, timeout=60))


@pytest.mark.reliability("R26")
async def test_nothing_blocks_the_loop_while_the_plugins_work(tmp_path: Path) -> None:
    folder, workspace = tmp_path / "notes", tmp_path / "workspace"
    folder.mkdir()
    config = {
        "plugins": {
            "files": {"watch": {"notes": {"path": str(folder), "settle": 0.02}}},
            "tools": {"grants": {"*": ["fs.write"]}},
        },
        "workspace": {"root": str(workspace)},
    }
    names = ("agents", "files", "native", "timers", "tools")
    async with running(*names, config=config) as runtime:
        watchdog = Watchdog(asyncio.get_running_loop())
        gc.collect()
        with watchdog.watching():
            assert await use_everything(runtime, folder) == 60
    assert watchdog.worst < 0.5, f"{watchdog.worst:.3f} s at\n{watchdog.where}"
