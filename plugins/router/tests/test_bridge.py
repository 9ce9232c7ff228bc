"""An agent in another process (here: behind the bridge) is held to the same privacy."""

from __future__ import annotations

from typing import Any

import pytest
from loom import Agent, Context, Envelope, ToolError
from loom.contracts import Bridge
from loom.hosting import joined
from loom_kernel.testing import wait_until

from plugins.router.tests.conftest import housed


@pytest.mark.anyio
@pytest.mark.feature("X-02", "RTE-02", "RTE-05")
async def test_labels_and_limits_hold_across_the_bridge() -> None:
    answers: list[dict[str, Any]] = []
    refused: list[str] = []

    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        answers.append(await ctx.tool("llm:think", {"prompt": str(event.data)}))
        if event.labels:
            with pytest.raises(ToolError) as error:
                await ctx.tool("llm:generate", {"prompt": str(event.data), "model": "large"})
            refused.append(error.value.code)

    agents = {"writer": {"latency_budget_ms": 60_000}}
    async with housed(None, None, "agents", "bridge", sure=0.1, agents=agents) as house:
        ticket = house.runtime.host("office").require(Bridge).issue("writer")
        writer = Agent("writer", ["write"], on_event=handle).definition()
        async with joined(writer, ticket.address, ticket.token):
            user = house.runtime.host("user")
            await user.publish("write", "open")
            await user.publish("write", "secret", metadata={"privacy": "local-only"})
            await wait_until(lambda: len(answers) == 2 and bool(refused), 20.0)
        assert [one["endpoint"] for one in answers] == ["large", "small"]
        assert [one["decision"]["agent"] for one in answers] == ["writer"] * 2
        assert refused == ["PERMISSION_DENIED"]
        assert "secret" not in str([asked.body for asked in house.there.requests])
