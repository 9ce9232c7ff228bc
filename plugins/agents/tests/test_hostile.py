"""Agents that hang, or work beside their mailbox: the others go on, and the end waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom.contracts import AgentDefinition, Agents
from loom_kernel import Envelope, Host
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until


async def hang(host: Host, event: Envelope) -> None:
    await asyncio.sleep(3600)


async def ignore(host: Host, event: Envelope) -> None: ...


@pytest.mark.anyio
@pytest.mark.feature("RT-03")
async def test_an_agent_that_hangs_can_be_stopped_and_keeps_no_other_waiting(keep: Any) -> None:
    await keep.create("stuck", hang, "work")
    await keep.create("fine", ignore)
    await keep.host.publish("work")
    await keep.settled("stuck", 1)
    stopping = keep.host.spawn(
        keep.host.request("agent.control", {"id": "stuck", "action": "stop"}, timeout=30.0),
        "stopping",
    )
    await wait_until(lambda: keep.record("stuck").state == "stopped")
    assert (await keep.control("fine", "stop")).state == "stopped"
    assert not stopping.done()
    assert (await stopping).data.state == "stopped"


@pytest.mark.feature("RT-09")
@pytest.mark.feature("X-09")
def test_the_end_waits_for_events_that_are_handled_in_parallel() -> None:
    done: list[Any] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def work(host: Host, event: Envelope) -> None:
            begun.set()
            await asyncio.sleep(6)  # longer than a stopped agent is given, shorter than the drain
            done.append(event.data)

        async with running("agents", clock=VirtualClock()) as runtime:
            host = runtime.host("outside")
            definition = AgentDefinition("wide", work, ("work",), concurrency="parallel:4")
            await host.require(Agents).create(definition)
            await host.publish("work", 1)
            await begun.wait()

    run_virtual(main)
    assert done == [1]
