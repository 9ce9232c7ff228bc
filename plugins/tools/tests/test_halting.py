"""A halt amid a call: whatever a handler waits for, it ends once, and soon; also with a journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import ToolProvider, call_tool
from loom.contracts import AgentDefinition, Agents, Approvals, ToolCall, ToolDescriptor
from loom_kernel import Envelope, Host, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-04"), pytest.mark.reliability("R16")]
SOON = 1.0
"""Seconds that a halt may take."""
LONG = ToolDescriptor("long:wait", "", {}, concurrency=1)
ASKED = ToolDescriptor("asked:act", "", {}, permissions=("fs.write",))


class Works:
    """An agent whose handler waits for what a test says, and goes on to wait for ever."""

    def __init__(self, runtime: Runtime) -> None:
        self.owner: Host = runtime.host("cli")
        self.events = EventRecorder(
            runtime.host("witness"), "agent.>", "tool.call.>", "approval.>", "dlq.>"
        )
        self.begun = self.cancelled = 0
        self.handled: list[Any] = []
        self.ends: list[str] = []
        self._runtime = runtime

    async def open(self) -> None:
        provider = ToolProvider(self._runtime.host("box"))
        provider.add(LONG, self._wait)
        provider.add(ASKED, self._wait)
        await provider.start()
        definition = AgentDefinition("worker", self._on_event, ("job",))
        await self.owner.require(Agents).create(definition)

    async def _wait(self, call: ToolCall) -> None:
        self.begun += 1
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _on_event(self, host: Host, envelope: Envelope) -> None:
        self.handled.append(envelope.data)
        if envelope.data == "rest":
            return
        try:
            await call_tool(host, ToolCall(envelope.data))
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise

    async def occupy(self) -> asyncio.Task[Any]:
        """Take the only place of `long:wait`."""
        other = self._runtime.host("other")
        call = other.spawn(call_tool(other, ToolCall(LONG.name)), "occupies")
        await wait_until(lambda: self.begun == 1)
        return call

    async def halt(self) -> None:
        began = self.owner.clock.monotonic()
        await self.owner.request("halt.call")
        await self.events.wait_for("agent.worker.failed", timeout=SOON)
        assert self.owner.clock.monotonic() - began < SOON
        await self.owner.request("halt.lift")


@asynccontextmanager
async def works(state: Path, *more: str) -> AsyncIterator[Works]:
    names = ("tools", "agents", "audit", *more)
    config = {"kernel": {"drain_timeout": 0.5}, "plugins": {"tools": {"default_grants": []}}}
    async with running(*names, state=state, config=config) as runtime:
        found = Works(runtime)
        await found.open()
        yield found


def audited(state: Path, event: str) -> int:
    (path,) = (state / "plugins/audit").glob("audit-*.jsonl")
    told = [json.loads(line) for line in path.read_text().splitlines()]
    return sum(one["event"] == event for one in told)


async def test_a_question_that_is_no_call_is_answered_with_no_by_a_halt(tmp_path: Path) -> None:
    async with works(tmp_path / "state") as found:
        asking = found.owner.require(Approvals).ask("mcp/time", "an answer", {"message": "well?"})
        question = found.owner.spawn(asking, "asks")
        await found.events.wait_for("approval.wanted")
        began = found.owner.clock.monotonic()
        await found.owner.request("halt.call")
        async with asyncio.timeout(SOON):
            assert not (await question).allow
        assert found.owner.clock.monotonic() - began < SOON
        await found.events.wait_for("approval.decided")
        assert (await found.owner.request("approval.list")).data["approvals"] == []


async def waits_for_a_call(found: Works) -> None:
    await found.owner.publish("job", LONG.name)
    await wait_until(lambda: found.begun == 1)


async def waits_for_a_person(found: Works) -> None:
    await found.owner.publish("job", ASKED.name)
    await found.events.wait_for("approval.wanted")


async def waits_for_a_place(found: Works) -> None:
    await found.occupy()
    await found.owner.publish("job", LONG.name)
    await wait_until(lambda: found.handled == [LONG.name])
    await found.owner.request("tool.list")  # a round of the bus: it has come as far as it can


@pytest.mark.parametrize("more", [(), ("journal",)], ids=["memory", "journal"])
@pytest.mark.parametrize("begin", [waits_for_a_call, waits_for_a_person, waits_for_a_place])
async def test_a_halt_ends_a_handler_once_and_its_event_is_done_with(
    tmp_path: Path, begin: Callable[[Works], Awaitable[None]], more: tuple[str, ...]
) -> None:
    state = tmp_path / "state"
    async with works(state, *more) as found:
        await begin(found)
        asked, ran = len(found.events.on("approval.wanted")), found.begun
        await found.halt()
        await found.owner.publish("job", "rest")
        await wait_until(lambda: found.handled[-1] == "rest")
        assert found.handled[:-1] == [found.handled[0]]  # it is not handled again
        assert found.ends == ["cancelled"]
        assert len(found.events.on("agent.worker.failed")) == 1
        await wait_until(lambda: found.cancelled == found.begun)
        assert found.begun == ran
        await wait_until(lambda: len(found.events.on("approval.decided")) == asked)
        calls = found.events.on("tool.call.failed")
        assert len([e for e in calls if e.data["caller"] == "worker"]) == 1
    async with works(state, *more) as again:
        await again.owner.publish("job", "rest")
        await wait_until(lambda: again.handled == ["rest"])
        assert (await again.owner.request("approval.list")).data["approvals"] == []
    assert audited(state, "approval.withdrawn") == asked
