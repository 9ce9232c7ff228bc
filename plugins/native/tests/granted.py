"""A runtime in which everybody may do everything, for tests of what tools themselves refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from loom.contracts import Provider, ToolCall, ToolDescriptor, ToolResult, Tools
from loom_kernel import Runtime
from loom_kernel.testing import running, wait_until

GRANTS = {"grants": {"*": ["fs.write", "exec", "net", "secret"]}}


@asynccontextmanager
async def granted(
    *plugins: str, config: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Runtime]:
    """As `running`; the broker, if it runs, asks nobody."""
    values = dict(config or {})
    if "tools" in plugins:
        values["plugins"] = {**values.get("plugins", {}), "tools": GRANTS}
    async with running(*plugins, config=values, **options) as runtime:
        yield runtime


class Counter:
    """Stands where the broker stands, and keeps who provides what."""

    def __init__(self) -> None:
        self.provider: Provider | None = None

    async def run(self, caller: str, call: ToolCall) -> tuple[ToolResult, frozenset[str]]:
        return ToolResult(call.id), frozenset()

    def offer(self, owner: str, tools: Iterable[ToolDescriptor], provider: Provider) -> None:
        self.provider = provider

    def leave(self, owner: str, provider: Provider) -> None:
        self.provider = None


async def provider_of(runtime: Runtime) -> Provider:
    """Who runs the tools of the one provider that there is, as the broker would know it."""
    counter, host = Counter(), runtime.host("tools")
    host.provide(Tools, counter)
    await host.publish("tool.provider.wanted")
    await wait_until(lambda: counter.provider)
    assert counter.provider is not None
    return counter.provider
