"""The directory of agents, and that of capabilities."""

from __future__ import annotations

from typing import Any

import pytest
from loom import Agent, Context, ToolProvider, capability
from loom.contracts import ToolCall, ToolDescriptor
from loom_kernel import Envelope, Host
from loom_kernel.testing import running, wait_until

pytestmark = pytest.mark.anyio


async def ignore(host: Host, event: Envelope) -> None: ...


@pytest.mark.feature("DIR-01")
async def test_three_ways_to_look_up(keep: Any) -> None:
    await keep.create("ada", ignore, "market.price.*", capabilities=("sum",))
    await keep.create("bob", ignore, "market.>", capabilities=("sum", "mean"))
    await keep.create("eve", ignore, "weather")
    assert await keep.listed(id="bob") == ["bob"]
    assert await keep.listed(id="nobody") == []
    assert await keep.listed(topic="market.price.BTC") == ["ada", "bob"]
    assert await keep.listed(topic="market.volume") == ["bob"]
    assert await keep.listed(topic="market.price.*") == ["ada", "bob"]
    assert await keep.listed(topic="weather") == ["eve"]
    assert await keep.listed(capability="mean") == ["bob"]
    assert await keep.listed(capability="sum", topic="market.volume") == ["bob"]
    assert await keep.listed() == ["ada", "bob", "eve"]


@pytest.mark.feature("DIR-01")
async def test_the_directory_is_fresh(keep: Any) -> None:
    await keep.create("ada", ignore)
    assert await keep.listed(topic="news") == []
    keep.agents.subscribe("ada", "news")
    assert await keep.listed(topic="news") == ["ada"]
    await keep.agents.delete("ada")
    assert await keep.listed(topic="news") == []


@capability("math.sum", version="1.2")
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.feature("DIR-02")
@pytest.mark.feature("DIR-03")
async def test_capabilities_are_listed_with_version_and_kind() -> None:
    async with running("agents", "tools") as runtime:
        host = runtime.host("outside")
        provider = ToolProvider(host)
        provider.add(ToolDescriptor("fs:peek", "peek", {"type": "object"}), _peek)
        await provider.start()
        agent = Agent("ada", capabilities=[add])
        from loom.contracts import Agents

        record = await host.require(Agents).create(agent.definition())
        assert record.capabilities == ("math.sum",)

        async def listed(**query: str) -> list[tuple[str, str, str, str]]:
            tools = (await host.request("tool.list", query)).data["tools"]
            return [(tool.name, tool.version, tool.provider, tool.owner) for tool in tools]

        assert await listed() == [
            ("fs:peek", "1.0", "native", "outside"), ("math.sum", "1.2", "agent", "ada"),
        ]  # fmt: skip
        assert await listed(provider="agent") == [("math.sum", "1.2", "agent", "ada")]
        assert await listed(name="fs:peek") == [("fs:peek", "1.0", "native", "outside")]
        await host.require(Agents).delete("ada")
        assert await listed(provider="agent") == [], "always fresh"


async def _peek(call: ToolCall) -> None: ...


@pytest.mark.feature("SDK-02")
async def test_one_agent_calls_the_capability_of_another() -> None:
    sums: list[Any] = []

    async def ask(ctx: Context, topic: str, event: Envelope) -> None:
        sums.append(await ctx.tool("math.sum", {"a": event.data}))

    async with running("agents", "tools") as runtime:
        host = runtime.host("outside")
        from loom.contracts import Agents

        agents = host.require(Agents)
        await agents.create(Agent("adder", capabilities=[add]).definition())
        await agents.create(Agent("asker", ["job"], on_event=ask).definition())
        await host.publish("job", 40)
        await wait_until(lambda: sums == [42])
