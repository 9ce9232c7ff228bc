"""Strangers who flood the sockets: those who are in go on at their pace, and memory is bounded."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from loom_kernel import Host
from loom_kernel.testing import wait_until
from loom_plugin_bridge.carriers.threads import NICENESS

from plugins.bridge.tests.conftest import Site
from plugins.bridge.tests.flood import AT_ONCE, BODIES
from plugins.bridge.tests.test_session import listening

pytestmark = [pytest.mark.anyio, pytest.mark.reliability("S15")]
ASKED = 5000 if os.environ.get("LOOM_TEST_LONG") else 500
TIMES = 3.0
"""What a flood may do to the time in which an authenticated client is answered, at p99."""
NOTICED = 0.015
"""Seconds below which a slower answer is nothing: what a machine's other work costs."""
LOOKS = 3
"""What a flood does, it does all the time; what else runs on the machine passes."""
EACH = 64 << 10
"""Bytes that a connection may cost before its client has proved who it is."""
WAITING = 256


@asynccontextmanager
async def flooded(site: Site, kind: str) -> AsyncIterator[None]:
    await wait_until((site.folder / "grpc.sock").exists)
    program = str(Path(__file__).with_name("flood.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, kind, str(site.folder), stdin=-1, stdout=-1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"worst\n"
        yield
        assert process.returncode is None
    finally:
        process.stdin.close()
        await process.wait()


async def pace(asker: Host) -> float:
    """Seconds at p99 in which a request is answered."""
    times = []
    for number in range(ASKED):
        begin = time.perf_counter()
        assert (await asker.request("ask", number, timeout=30.0)).data == number
        times.append(time.perf_counter() - begin)
    return statistics.quantiles(times, n=100)[98]


async def best_pace(asker: Host, enough: float) -> float:
    """The best of some looks at its pace, the last of which is *enough*."""
    best = await pace(asker)
    for _ in range(LOOKS - 1):
        best = best if best < enough else await pace(asker)
    return best


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a thread has a priority")
async def test_grpc_reads_what_strangers_send_at_a_low_priority(site: Site) -> None:
    await wait_until((site.folder / "grpc.sock").exists)
    tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    priorities = {task: os.getpriority(os.PRIO_PROCESS, task) for task in tasks}
    assert list(priorities.values()).count(NICENESS) >= 2
    ours = {one.native_id for one in threading.enumerate()}
    assert {priorities[task] for task in tasks if task in ours} == {0}


@pytest.mark.corpus
@pytest.mark.parametrize("kind", list(BODIES))
async def test_a_flood_of_strangers_slows_nobody_who_is_in(site: Site, kind: str) -> None:
    asker, answerer = await site.join("asker"), await site.join("answerer")
    answerer.on("ask", handler=lambda event: answerer.reply(event, event.data))
    await listening(site, "ask")
    quiet = await pace(asker)
    limit = max(TIMES * quiet, NOTICED)
    process = psutil.Process()
    before = process.memory_info().rss
    async with flooded(site, kind):
        busy = await best_pace(asker, limit)
        grown = process.memory_info().rss - before
    assert busy < limit, (quiet, busy)
    assert grown < AT_ONCE * EACH
    assert (site.record("asker").epoch, site.record("asker").status) == (1, "active")
    assert len(site.events.on("agent.asker.connected")) == 1


async def test_no_more_than_256_wait_to_be_let_in(site: Site) -> None:
    """The next is told so, and those who were waiting are let go after a while."""
    crowd = [site.raw() for _ in range(WAITING)]
    for one in crowd:
        await one.connect()
    late = site.raw()
    await late.connect()
    failure = await late.farewell()
    assert failure.code == "RESOURCE_EXHAUSTED"
    assert (await crowd[0].farewell()).code == "DEADLINE_EXCEEDED"
    await site.raw().hello()
