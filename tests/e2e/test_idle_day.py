"""An app that nobody needs for a day: no model is asked, and nothing grows."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from loom import Agent, CognitiveAgent, Context, Envelope, LLMProvider
from loom.contracts import Agents
from loom.testing.models import FakeModels
from loom_kernel import Runtime, find_paths, load_profiled_config
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual, running

HOUR = 3600.0
CREW = 20
MOST_BYTES = 64 * 1024
"""What may be in use after the day more than before it; a byte a second would be 80 kB."""


async def think(ctx: Context, topic: str, event: Envelope) -> None:
    """What each of the crew does if anything happens: it asks the model."""
    llm = LLMProvider.from_runtime(ctx)
    result = await CognitiveAgent(ctx, llm, available_tools=[]).run(str(event.data))
    await ctx.emit("crew.answered", result.answer)


async def note(ctx: Context, topic: str, event: Envelope) -> None:
    """What needs no thought costs none."""
    ctx.state["hours"] = ctx.state.get("hours", 0) + 1


def used() -> int:
    """Bytes of all objects that are in use."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def desktop() -> tuple[str, ...]:
    """The plugins of the profile desktop, which is the one that runs if none is named."""
    _, name, profile = load_profiled_config(find_paths())
    assert name == "desktop"
    return tuple(profile.plugins)


async def hire(runtime: Runtime) -> Agent:
    """The crew, and one agent more whom the clock wakes every hour."""
    agents = runtime.host("office").require(Agents)
    watchman = Agent("watchman", ["timer.hourly"], on_event=note)
    crew = [
        Agent(f"worker{n}", ["file.>", "clipboard.changed", f"ask.{n}"], on_event=think)
        for n in range(CREW)
    ]
    for agent in (*crew, watchman):
        await agents.create(agent.definition())
    return watchman


@pytest.mark.feature("X-07")
@pytest.mark.timeout(300)
def test_a_day_of_twenty_idle_agents_costs_no_tokens_and_no_memory(home: Path) -> None:
    plugins = {*desktop(), "models"}

    async def day() -> None:
        async with FakeModels() as models:
            config: dict[str, Any] = {
                "llm": {"fake": {"model": "m", "api_base": models.url}},
                "plugins": {
                    "audit": {"sync": 60.0},  # a thread each second would take this test a minute
                    "bridge": {"grpc": False},  # its server has threads that know only real time
                    "budgets": {"accounts": 100},  # as many as are kept of them are there early
                    "hosts": {"adapter": "headless"},
                    "timers": {"timer": {"hourly": {"every": "1h"}}},
                },
            }
            async with running(
                *plugins, config=config, clock=VirtualClock(), state=home / "s"
            ) as runtime:
                watchman = await hire(runtime)
                answered = EventRecorder(runtime.host("user"), "crew.answered")
                await asyncio.sleep(2 * HOUR + 60)  # what is made once has been made
                before = used()
                await asyncio.sleep(24 * HOUR)
                grown = used() - before
                assert watchman.ctx.state == {"hours": 26}, "a day did pass"
                assert (models.requests, models.connections) == ([], 0)
                assert grown < MOST_BYTES, f"{grown} bytes more are in use after the day"
                await runtime.host("user").publish("ask.7", "Are you there?")
                await answered.wait_for("crew.answered", timeout=60)
                assert len(models.requests) == 1, "they would have asked it"

    tracemalloc.start()
    try:
        run_virtual(day)
    finally:
        tracemalloc.stop()
