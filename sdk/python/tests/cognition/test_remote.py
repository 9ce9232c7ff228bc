"""Thinking in a process of its own: the same, with labels and long outputs, through the bridge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom import Agent, Context, Envelope
from loom.contracts import Bridge, ToolCall
from loom.hosting import joined
from loom_kernel.testing import running

from sdk.python.tests.cognition.scripted import ScriptedMind, Stage, call, say, use

pytestmark = pytest.mark.anyio


@pytest.mark.feature("COG-01")
@pytest.mark.feature("X-02")
@pytest.mark.parametrize("where", ["workspace", "cache"])
async def test_an_agent_thinks_at_the_far_end_of_a_bridge(tmp_path: Path, where: str) -> None:
    results: list[Any] = []
    async with running("tools", "agents", "bridge") as runtime:
        stage = Stage(runtime)

        async def page(call: ToolCall) -> Any:
            return "words " * 1_000

        await stage.offer("page:read", page, labels=("untrusted",))
        await stage.offer("math:add")
        mind = ScriptedMind(
            call(use("page:read"), use("math:add", a=1)), call(use("math:add", "2", a=2)),
            say("so"), say("so again"),
        )  # fmt: skip

        async def think(ctx: Context, topic: str, event: Envelope) -> None:
            stage.ctx = ctx
            thinker = stage.thinker(mind, workspace=tmp_path if where == "workspace" else None)
            results.append(await thinker.run("Read"))
            await ctx.emit("thought")

        ticket = runtime.host("office").require(Bridge).issue("bob")
        bob = Agent("bob", ["go"], on_event=think).definition()
        async with joined(bob, ticket.address, ticket.token):
            await runtime.host("user").publish("go")
            (thought,) = await stage.events.wait_for("thought")
        (result,) = results
        assert (result.answer, stage.names) == ("so", ["page:read", "math:add", "math:add"])
        assert thought.labels == {"untrusted"}
        assert result.steps[0].actions[0].reference
