from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loom import ToolError, ToolProvider, call_tool
from loom.contracts import ToolCall, ToolDescriptor, ToolResult
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, running

TEXT = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "times": {"type": "integer", "minimum": 1}},
    "required": ["text"],
    "additionalProperties": False,
}


class Workshop:
    """A provider with a few tools, a caller, and a record of what ran."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.provider_host: Host = runtime.host("workshop")
        self.caller: Host = runtime.host("caller")
        self.provider = ToolProvider(self.provider_host)
        self.events = EventRecorder(runtime.host("witness"), "tool.>")
        self.ran: list[ToolCall] = []
        self.offered: list[str] = []

    def offer(self, name: str, handler: Any = None, **fields: Any) -> None:
        async def echo(call: ToolCall) -> Any:
            self.ran.append(call)
            return await handler(call) if handler else call.arguments

        self.offered.append(name)
        described = {"parameters": {"type": "object"}, "description": name, **fields}
        self.provider.add(ToolDescriptor(name, **described), echo)

    async def open(self) -> None:
        """Announce, and wait until the broker knows."""
        await self.provider.start()
        async with asyncio.timeout(30):
            while len(await self.listed()) < len(self.offered):  # each look is a round of the bus
                continue

    async def listed(self, **query: str) -> list[ToolDescriptor]:
        tools: list[ToolDescriptor] = (await self.caller.request("tool.list", query)).data["tools"]
        return tools

    async def call(self, name: str, arguments: Any = None, **fields: Any) -> ToolResult:
        return await call_tool(self.caller, ToolCall(name, arguments or {}, **fields))

    async def refused(self, name: str, arguments: Any = None, **fields: Any) -> ToolError:
        result = await self.call(name, arguments, **fields)
        assert result.error is not None
        return ToolError(name, result.code, result.error.message, result.error.details)


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    async with running("tools") as runtime:
        yield Workshop(runtime)
