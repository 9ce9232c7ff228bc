"""A runtime with a tool that needs asking, somebody who asks, and the owner who answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from loom import ToolProvider, call_tool
from loom.contracts import (
    Approval,
    Preparation,
    ToolCall,
    ToolDescriptor,
    ToolResult,
)
from loom_kernel import Clock, Host, Runtime, current
from loom_kernel.testing import EventRecorder, running

NOTE = ToolDescriptor(
    "note:write",
    "Write a note",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
        "required": ["path"],
    },
    permissions=("fs.write",),
)


class Office:
    """*ran* holds, in order, what really ran: the arguments as the tool saw them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.clerk: Host = runtime.host("clerk")
        self.owner: Host = runtime.host("cli")
        self.events = EventRecorder(runtime.host("witness"), "approval.>", "tool.call.>")
        self.ran: list[ToolCall] = []
        self.labels: list[frozenset[str]] = []
        """What led to each of them, by labels."""
        self.world = {"draft.txt": "absent"}
        """What the tool depends on: path → digest."""
        self.provider = ToolProvider(runtime.host("notes"))

    async def open(self, descriptor: ToolDescriptor = NOTE) -> None:
        self.provider.add(descriptor, self._run, self._prepare)
        await self.provider.start()
        await self.settle()

    async def settle(self) -> None:
        """Let the broker have heard of what was announced."""
        await self.owner.request("tool.list")

    async def _run(self, call: ToolCall) -> Any:
        self.ran.append(call)
        cause = current.get()
        self.labels.append(cause.labels if cause is not None else frozenset())
        return {"written": call.arguments["path"]}

    async def _prepare(self, call: ToolCall) -> Preparation:
        return Preparation(f"write {call.arguments['path']}", "/notes", ("LANG",), dict(self.world))

    def call(self, who: Host | None = None, **fields: Any) -> asyncio.Task[ToolResult]:
        """Ask for a call; its question is waiting when `question` returns."""
        wanted = ToolCall(
            fields.pop("name", NOTE.name),
            fields.pop("arguments", {"path": "a.txt", "text": "hello"}),
            **fields,
        )
        return (who or self.clerk).spawn(call_tool(who or self.clerk, wanted), "call")

    async def questions(self) -> list[Approval]:
        answer = await self.owner.request("approval.list")
        return msgspec.convert(msgspec.to_builtins(answer.data["approvals"]), list[Approval])

    async def question(self) -> Approval:
        """The one that waits."""
        found: list[Approval] = []
        async with asyncio.timeout(5):
            while not found:  # each look is a round of the bus
                found = await self.questions()
        (one,) = found
        return one

    async def decide(
        self, id: str, *, allow: bool = True, who: Host | None = None, **more: Any
    ) -> Any:
        """What the broker answers to a decision."""
        decision = {"id": id, "allow": allow, **more}
        return (await (who or self.owner).request("approval.decide", decision)).data


@asynccontextmanager
async def office(
    state: Path | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Office]:
    """One in *state*, with `[plugins.tools]` *settings*."""
    config = {"plugins": {"tools": settings}, "kernel": {"drain_timeout": 1.0}}
    async with running("tools", "audit", state=state, config=config, clock=clock) as runtime:
        yield Office(runtime)
