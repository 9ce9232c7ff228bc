"""How many at once, how many a minute: refused in words, and counted for the caller alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import ToolCall
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until

from plugins.tools.tests.conftest import Workshop


@pytest.mark.feature("SEC-07")
def test_a_caller_that_calls_too_often_is_told_when_to_come_again() -> None:
    async def main() -> None:
        config = {"plugins": {"tools": {"rate": 60.0}}}
        async with running("tools", config=config, clock=VirtualClock()) as runtime:
            workshop = Workshop(runtime)
            workshop.offer("text:keep")
            await workshop.open()
            codes = [(await workshop.call("text:keep")).code for _ in range(12)]
            assert codes == ["ACTION_OK"] * 10 + ["PERMISSION_DENIED"] * 2
            refused = await workshop.refused("text:keep")
            assert refused.details == {"reason": "rate", "retry": pytest.approx(1.0, abs=0.2)}
            other = runtime.host("other")
            assert (await call_tool(other, ToolCall("text:keep"))).is_ok
            await workshop.caller.clock.sleep(1.0)
            assert (await workshop.call("text:keep")).is_ok
            assert len(workshop.ran) == 12

    run_virtual(main)


@pytest.mark.anyio
@pytest.mark.feature("SEC-03")
async def test_a_tool_runs_no_more_calls_at_once_than_it_says(workshop: Workshop) -> None:
    running_now = most = 0
    go = asyncio.Event()

    async def count(call: ToolCall) -> Any:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await go.wait()
        running_now -= 1

    workshop.offer("slow:count", count, concurrency=3)
    await workshop.open()
    calls = [workshop.caller.spawn(workshop.call("slow:count", timeout=5.0), "c") for _ in range(9)]
    await wait_until(lambda: running_now == 3)
    late = await workshop.refused("slow:count", timeout=0.05)
    assert late.code == "PROVIDER_UNAVAILABLE"
    go.set()
    assert [result.code for result in await asyncio.gather(*calls)] == ["ACTION_OK"] * 9
    assert most == 3


@pytest.mark.anyio
@pytest.mark.feature("X-14")
async def test_progress_is_told_to_whoever_listens(workshop: Workshop) -> None:
    async def step(call: ToolCall) -> Any:
        for done in (1, 2):
            await workshop.provider.progress(call, done, 2, f"step {done}")

    workshop.offer("slow:step", step)
    await workshop.open()
    await workshop.call("slow:step", id="7")
    first, second = await workshop.events.wait_for("tool.call.progressed", count=2)
    assert (first.subject, second.data.done, second.data.total) == ("7", 2, 2)
