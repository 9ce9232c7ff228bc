"""The planner and the researcher of the second seed, word for word."""

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loom import Agent
from loom_kernel.testing import EventRecorder

pytestmark = pytest.mark.anyio

PROGRAM = """
from loom import Agent, capability

@capability("research.search", version="1.0")
def search(query: str) -> dict:
    return {"results": ["https://example.com/doc1"]}

async def planner_handler(ctx, topic, event):
    if event.type == "user.question":
        # Use Envelope thread_id for correlation
        thread = ctx.thread(event)
        results = await ctx.request(thread, "topic.research", payload=event.payload, first_k=1, timeout_ms=2000)
        await ctx.reply(thread, {"done": True})

async def researcher_handler(ctx, topic, event):
    if event.type == "research.request":
        results = search(query=event.payload.decode())
        await ctx.reply(ctx.thread(event), {"results": results})

# Create and run agents
planner = Agent("planner", topics=["topic.plan"], on_event=planner_handler)
researcher = Agent("researcher", topics=["topic.research"], capabilities=[search], on_event=researcher_handler)
"""  # noqa: E501  # the seed's own lines


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[tuple[Agent, Agent]]:
    (tmp_path / "team.py").write_text(PROGRAM)
    names = runpy.run_path(str(tmp_path / "team.py"))
    planner, researcher = names["planner"], names["researcher"]
    await planner.start()
    await researcher.start()
    yield planner, researcher
    await researcher.stop()
    await planner.stop()


@pytest.mark.feature("SDK-01")
@pytest.mark.feature("COL-01")
@pytest.mark.feature("COL-02")
async def test_the_question_is_answered(team: tuple[Agent, Agent]) -> None:
    planner, _ = team
    events = EventRecorder(planner.ctx.host, ">")
    asker = Agent("asker")
    await asker.start()
    answer = await asker.ctx.request("topic.plan", b"looms?", type="user.question")
    assert answer.data == {"done": True}
    (research,) = events.on("topic.research")
    assert (research.type, research.data) == ("research.request", b"looms?")
    (found,) = [event for event in events.events if event.sender == "researcher" and event.data]
    assert found.data == {"results": {"results": ["https://example.com/doc1"]}}
    assert {research.thread_id, found.thread_id, answer.thread_id} == {answer.thread_id}
    await asker.stop()
