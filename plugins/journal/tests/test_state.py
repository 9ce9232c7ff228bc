"""What agents know: kept with the end of each event, gone with an event that failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loom import Agent, Context, Envelope
from loom.bridge import connect
from loom.contracts import Agents, Bridge, Retry
from loom.hosting import joined
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, running, wait_until

from plugins.journal.tests.clerk import Start

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RT-06")]


async def count(ctx: Context, topic: str, event: Envelope) -> None:
    ctx.state["n"] = ctx.state.get("n", 0) + 1
    ctx.ephemeral["n"] = ctx.ephemeral.get("n", 0) + 1
    if event.data == "fail" and ctx.once(f"failed on {event.id}") and not FAILED:
        FAILED.append(event.id)
        raise Retry("once", 0.0)
    await ctx.emit("counted", {"kept": ctx.state["n"], "gone": ctx.ephemeral["n"]})


FAILED: list[str] = []


@asynccontextmanager
async def counter(runtime: Runtime) -> AsyncIterator[EventRecorder]:
    agents = runtime.host("office").require(Agents)
    await agents.create(Agent("counter", ["tick"], on_event=count).definition())
    yield EventRecorder(runtime.host("witness"), "counted")
    await agents.stop("counter")


def is_done(runtime: Runtime) -> bool:
    return runtime.health()["journal"].metrics["lag"] == 0


@pytest.fixture
def office(life: Start) -> Start:
    FAILED.clear()
    return partial(running, "journal", "agents", **life.keywords)  # type: ignore[attr-defined]  # a partial


async def test_a_counter_goes_on_where_it_was_and_the_ephemeral_is_gone(office: Start) -> None:
    async with office() as runtime, counter(runtime) as counted:
        for _ in range(3):
            await runtime.host("clock").publish("tick")
        assert (await counted.wait_for("counted", 3))[-1].data == {"kept": 3, "gone": 3}
    async with office() as runtime, counter(runtime) as counted:
        await runtime.host("clock").publish("tick")
        assert (await counted.wait_for("counted"))[0].data == {"kept": 4, "gone": 1}


async def test_what_a_failed_event_changed_is_undone_before_it_comes_again(office: Start) -> None:
    async with office() as runtime, counter(runtime) as counted:
        await runtime.host("clock").publish("tick", "fail")
        await runtime.host("clock").publish("tick")
        events = await counted.wait_for("counted", 2)
        assert [event.data["kept"] for event in events] == [1, 2]
        assert len(FAILED) == 1


async def test_what_is_done_once_is_done_once_for_good(office: Start) -> None:
    done: list[str] = []

    async def do_once(ctx: Context, topic: str, event: Envelope) -> None:
        if ctx.once(event.data):
            done.append(event.data)
            if event.data == "fails" and done.count("fails") == 1:
                raise Retry("the mark goes with it", 0.0)

    for _ in range(2):
        async with office() as runtime:
            agents = runtime.host("office").require(Agents)
            await agents.create(Agent("doer", ["job"], on_event=do_once).definition())
            for job in ("one", "fails", "one", "fails"):
                await runtime.host("clock").publish("job", job)
            await wait_until(partial(is_done, runtime))
            await agents.stop("doer")
    assert sorted(done) == ["fails", "fails", "one"]


async def test_an_agent_in_another_process_is_told_what_it_knew(tmp_path: Path) -> None:
    """Over the bridge, with the session's own frames, also after the runtime was a new one."""
    start = partial(running, "journal", "agents", "bridge", state=tmp_path / "state")
    seen: list[Any] = []

    async def note(ctx: Context, topic: str, event: Envelope) -> None:
        if event.data == "fail" and not FAILED:
            FAILED.append("remote")
            ctx.state["n"] = 99
            raise Retry("once", 0.0)
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        seen.append(ctx.state["n"])

    FAILED.clear()
    for expected in ([1, 2, 3], [4, 5, 6]):
        seen.clear()
        async with start() as runtime:
            ticket = runtime.host("office").require(Bridge).issue("remote")
            agent = Agent("remote", ["tick"], on_event=note)
            async with joined(agent.definition(), ticket.address, ticket.token, returns=True):
                for data in (1, "fail", 3):
                    await runtime.host("clock").publish("tick", data)
                await wait_until(lambda: len(seen) == 3)
                await wait_until(partial(is_done, runtime))
            assert seen == expected


async def test_who_only_listens_is_told_no_state(tmp_path: Path) -> None:
    async with running("journal", "agents", "bridge", state=tmp_path / "state") as runtime:
        ticket = runtime.host("office").require(Bridge).issue("listener")
        async with connect(ticket.address, token=ticket.token) as host:
            await host.publish("tick", 1)
