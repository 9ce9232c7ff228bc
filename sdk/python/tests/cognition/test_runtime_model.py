"""Thinking with a model of the runtime, over HTTP: paid for, told as it comes, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loom import Agent, CognitiveAgent, CognitiveConfig, Context, Envelope, LLMProvider
from loom.contracts import Agents
from loom.testing.models import Answer, Asked, Call, FakeModels
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, running

pytestmark = pytest.mark.anyio
OnEvent = Callable[[Context, str, Envelope], Awaitable[None]]


@asynccontextmanager
async def house(models: FakeModels, on_event: OnEvent) -> AsyncIterator[Runtime]:
    table = {"model": "m", "api_base": models.url, "max_tokens": 100, "context_window": 16_000}
    async with running(
        "agents", "tools", "models", "budgets", "native",
        config={
            "llm": {"fake": table}, "plugins": {"tools": {"grants": {"*": ["fs.read"]}}},
        },
    ) as runtime:  # fmt: skip
        agents = runtime.host("office").require(Agents)
        await agents.create(Agent("bob", ["go"], on_event=on_event).definition())
        yield runtime


@pytest.mark.feature("X-03")
@pytest.mark.feature("COG-01")
async def test_a_budget_of_tokens_ends_a_loop_and_is_not_overspent() -> None:
    results: list[Any] = []
    spent = 0

    def loop(asked: Asked) -> Answer:
        nonlocal spent
        spent += 510
        return Answer(calls=(Call("fs__list_dir", {"path": "."}),), tokens=(500, 10))

    async def think(ctx: Context, topic: str, event: Envelope) -> None:
        llm = LLMProvider.from_runtime(ctx)
        config = CognitiveConfig(max_iterations=50)
        results.append(await CognitiveAgent(ctx, llm, config).run("Loop"))
        await ctx.emit("over")

    async with FakeModels(loop) as models, house(models, think) as runtime:
        events = EventRecorder(runtime.host("witness"), "over")
        budget = {"tokens": 4_000, "calls": 100, "events": 1_000}
        await runtime.host("user").publish("go", budget=budget)
        await events.wait_for("over", timeout=20.0)
        (result,) = results
    assert (result.success, result.error.code) == (False, "BUDGET_EXCEEDED")
    assert "tokens" in result.error.message
    assert spent <= 4_000
    assert 0 < len(result.steps) == len(models.requests) < 8
