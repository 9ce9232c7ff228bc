"""One word of the owner ends everything that runs, and nothing more begins until the next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from loom import ToolProvider, call_tool
from loom.contracts import AgentDefinition, Agents, ToolCall, ToolDescriptor
from loom_kernel import Envelope, Host
from loom_kernel.testing import EventRecorder, running, wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-04"), pytest.mark.reliability("R16")]


class Slow:
    """A tool that never ends by itself, and how often it was begun and cancelled."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0

    async def run(self, call: ToolCall) -> Any:
        self.begun += 1
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def offered(host: Host, slow: Slow) -> ToolProvider:
    provider = ToolProvider(host)
    provider.add(ToolDescriptor("slow:wait", "", {}), slow.run)
    await provider.start()
    await host.request("tool.list")
    return provider


async def test_a_halt_ends_calls_and_handlers_and_refuses_more_until_it_is_lifted() -> None:
    slow = Slow()
    handled: list[Any] = []

    async def on_event(host: Host, envelope: Envelope) -> None:
        handled.append(envelope.data)
        if envelope.data == "wait":
            await asyncio.get_running_loop().create_future()

    async with running("tools", "agents") as runtime:
        owner, caller = runtime.host("cli"), runtime.host("caller")
        events = EventRecorder(runtime.host("witness"), "agent.>")
        await offered(runtime.host("slow"), slow)
        await owner.require(Agents).create(AgentDefinition("worker", on_event, ("job",)))
        calls = [caller.spawn(call_tool(caller, ToolCall("slow:wait")), "c") for _ in range(20)]
        await owner.publish("job", "wait")
        await wait_until(lambda: slow.begun == 20 and handled == ["wait"])
        began = owner.clock.monotonic()
        answer = (await owner.request("halt.call")).data
        assert answer == {"ended": 20}
        results = await asyncio.gather(*calls)
        await events.wait_for("agent.worker.failed")
        assert owner.clock.monotonic() - began < 1.0
        assert {result.code for result in results} == {"ACTION_ERROR"}
        assert "called a halt" in str(results[0].error)
        await wait_until(lambda: slow.cancelled == 20)

        await owner.publish("job", "later")
        refused = await call_tool(caller, ToolCall("slow:wait"))
        assert refused.code == "PERMISSION_DENIED"
        assert "loom resume" in str(refused.error)
        assert (slow.begun, handled) == (20, ["wait"])

        await owner.request("halt.lift")
        await wait_until(lambda: handled == ["wait", "later"])
        again = caller.spawn(call_tool(caller, ToolCall("slow:wait", timeout=0.05)), "c")
        assert (await again).code == "ACTION_TIMEOUT"


async def test_nobody_but_the_owner_and_the_broker_halts_anything() -> None:
    slow = Slow()
    async with running("tools", "agents") as runtime:
        caller, stranger = runtime.host("caller"), runtime.host("stranger")
        await offered(runtime.host("slow"), slow)
        call = caller.spawn(call_tool(caller, ToolCall("slow:wait", timeout=0.3)), "c")
        await wait_until(lambda: slow.begun == 1)
        for topic in ("halt.call", "halt.lift"):
            assert (await stranger.request(topic)).data["error"]["code"] == "PERMISSION_DENIED"
        await stranger.publish("halt.called", {"by": "cli"})
        assert (await call).code == "ACTION_TIMEOUT"  # it went on to its own end


async def test_cancelling_who_waits_cancels_the_call_at_once() -> None:
    slow = Slow()
    async with running("tools") as runtime:
        caller, stranger = runtime.host("caller"), runtime.host("stranger")
        await offered(runtime.host("slow"), slow)
        call = caller.spawn(call_tool(caller, ToolCall("slow:wait", id="1")), "c")
        await wait_until(lambda: slow.begun == 1)
        await stranger.publish("tool.call.cancel", {"id": "1"})  # not theirs
        await stranger.request("tool.list")
        assert slow.cancelled == 0
        began = caller.clock.monotonic()
        call.cancel()
        await wait_until(lambda: slow.cancelled == 1, every=0.001)
        assert caller.clock.monotonic() - began < 0.1


async def test_what_waits_for_a_person_is_denied_by_a_halt(tmp_path: Path) -> None:
    from plugins.tools.tests.desk import office

    async with office(tmp_path / "state") as desk:
        await desk.open()
        call = desk.call()
        await desk.question()
        await desk.owner.request("halt.call")
        assert not (await call).is_ok
        assert await desk.questions() == []
        await desk.owner.request("halt.lift")
        assert desk.ran == []
