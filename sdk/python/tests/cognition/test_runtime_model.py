"""Thinking with a model of the runtime, over HTTP: paid for, told as it comes, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import Agent, CognitiveAgent, CognitiveConfig, Context, Envelope, LLMProvider
from loom.contracts import Agents, Retry
from loom.testing.models import Answer, Asked, Call, FakeModels
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, running

pytestmark = pytest.mark.anyio
OnEvent = Callable[[Context, str, Envelope], Awaitable[None]]


@asynccontextmanager
async def house(
    models: FakeModels, on_event: OnEvent, *plugins: str, **more: Any
) -> AsyncIterator[Runtime]:
    table = {"model": "m", "api_base": models.url, "max_tokens": 100, "context_window": 16_000}
    async with running(
        "agents", "tools", "models", "native", *plugins,
        config={
            "llm": {"fake": table},
            "plugins": {"tools": {"grants": {"*": ["fs.read", "fs.write"]}}},
        },
        **more,
    ) as runtime:  # fmt: skip
        agents = runtime.host("office").require(Agents)
        await agents.create(Agent("bob", ["go"], on_event=on_event).definition())
        yield runtime
        await agents.stop("bob")


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

    async with FakeModels(loop) as models, house(models, think, "budgets") as runtime:
        events = EventRecorder(runtime.host("witness"), "over")
        budget = {"tokens": 4_000, "calls": 100, "events": 1_000}
        await runtime.host("user").publish("go", budget=budget)
        await events.wait_for("over", timeout=20.0)
        (result,) = results
    assert (result.success, result.error.code) == (False, "BUDGET_EXCEEDED")
    assert "tokens" in result.error.message
    assert spent <= 4_000
    assert 0 < len(result.steps) == len(models.requests) < 8


@pytest.mark.feature("X-05")
@pytest.mark.feature("COG-01")
async def test_a_handling_that_is_repeated_asks_and_does_nothing_twice(tmp_path: Path) -> None:
    answers = [
        Answer(calls=(Call("fs__write_file", {"path": "a.md", "content": "hello"}),)),
        Answer(
            calls=(Call("fs__list_dir", {"path": "."}), Call("fs__read_file", {"path": "a.md"}))
        ),
        Answer("It is written."),
        Answer("It was asked a second time."),
    ]
    results: list[Any] = []

    async def think(ctx: Context, topic: str, event: Envelope) -> None:
        thinker = CognitiveAgent(ctx, LLMProvider.from_runtime(ctx))
        results.append(await thinker.run("Write hello to a.md"))
        if len(results) == 1:
            raise Retry("once more", 0.0)
        await ctx.emit("over")

    async with FakeModels(answers) as models:
        async with house(models, think, "journal", state=tmp_path / "state") as runtime:
            events = EventRecorder(runtime.host("witness"), "over")
            await runtime.host("user").publish("go")
            await events.wait_for("over", timeout=20.0)
        assert len(models.requests) == 3
    first, second = results
    assert first.answer == second.answer == "It is written."
    assert [step.observation for step in first.steps] == [s.observation for s in second.steps]
