"""An app that has nothing to do costs nothing, also with a journal, for a day."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from loom import Agent, Context, Envelope
from loom.contracts import Agents
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until

DAY = 86_400.0


@pytest.mark.feature("X-07")
def test_a_day_without_events_writes_nothing_and_a_tick_at_its_end_is_kept(tmp_path: Path) -> None:
    async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
        ctx.state["woken"] = ctx.state.get("woken", 0) + 1

    async def live(clock: VirtualClock, expected: int) -> None:
        state = tmp_path / "state"
        async with running("journal", "agents", state=state, clock=clock) as runtime:
            agents = runtime.host("office").require(Agents)
            crew = [Agent(f"worker{n}", ["bell"], on_event=on_event) for n in range(20)]
            for agent in crew:
                await agents.create(agent.definition())
            await runtime.host("office").clock.sleep(1)
            before = runtime.health()["journal"].metrics
            await clock.sleep(DAY)
            after = runtime.health()["journal"].metrics
            assert after["commits"] - before["commits"] <= 3 * 24, "it keeps house every hour"
            assert {**after, "commits": 0} == {**before, "commits": 0}
            await runtime.host("porter").publish("bell")
            await wait_until(lambda: all(a.ctx.state.get("woken") == expected for a in crew))
            for agent in crew:
                await agents.stop(agent.agent_id)

    for day in (1, 2):
        run_virtual(partial(live, VirtualClock(), day))
