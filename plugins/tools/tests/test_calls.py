"""The path of a call: validated, run once, in time, answered with one of the codes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from loom import ToolError, ToolProvider, call_tool
from loom.contracts import Provider, ToolCall, ToolDescriptor, ToolResult, Tools
from loom_kernel.testing import (
    VirtualClock,
    check_plugin_contract,
    run_virtual,
    running,
    wait_until,
)

pytestmark = pytest.mark.anyio

TEXT = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "times": {"type": "integer", "minimum": 1},
        "style": {"type": "object", "properties": {"size": {"enum": ["big", "small"]}}},
    },
    "required": ["text"],
    "additionalProperties": False,
}


async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("tools")


@pytest.mark.feature("TOOL-02")
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "text"),
        ({"text": 5}, "text"),
        ({"text": "a", "times": 0}, "times"),
        ({"text": "a", "times": "2"}, "times"),
        ({"text": "a", "colour": "red"}, "colour"),
        ({"text": "a", "style": {"size": "huge"}}, "style.size"),
        ({"text": None}, "text"),
    ],
)
async def test_a_wrong_argument_is_named_and_nothing_runs(
    workshop: Any, arguments: dict[str, Any], field: str
) -> None:
    workshop.offer("text:repeat", parameters=TEXT)
    await workshop.open()
    refused = await workshop.refused("text:repeat", arguments)
    assert refused.code == "INVALID_PARAMS"
    assert refused.details["field"] == field
    assert refused.message.startswith(f"{field}: ")
    assert workshop.ran == []
    assert workshop.events.on("tool.call.started") == []
    assert (await workshop.call("text:repeat", {"text": "a", "times": 2})).is_ok


@pytest.mark.feature("TOOL-02")
async def test_a_call_that_is_no_call_is_refused(workshop: Any) -> None:
    reply = await workshop.caller.request("tool.call", {"arguments": 5})
    assert reply.data.code == "INVALID_PARAMS"
    assert "ToolCall" in reply.data.error.message


@pytest.mark.feature("TOOL-02")
async def test_a_tool_whose_schema_is_wrong_is_not_taken(workshop: Any) -> None:
    workshop.offer("bad:tool", parameters={"type": "nonsense"})
    await workshop.provider.start()
    (refused,) = await workshop.events.wait_for("tool.provider.refused")
    assert refused.data["tool"] == "bad:tool"
    assert "its schema is wrong" in refused.data["reason"]
    assert await workshop.listed() == []


@pytest.mark.feature("TOOL-03")
async def test_a_call_that_succeeds(workshop: Any) -> None:
    workshop.offer("text:echo")
    await workshop.open()
    result = await workshop.call("text:echo", {"a": 1}, id="c1")
    assert (result.code, result.output, result.id, result.error) == (
        "ACTION_OK",
        {"a": 1},
        "c1",
        None,
    )
    (call,) = workshop.ran
    assert (call.caller, call.version) == ("caller", "1.0")
    (told,) = await workshop.events.wait_for("tool.call.completed")
    assert told.subject == "c1"
    assert told.data["code"] == "ACTION_OK"
    assert [event.topic for event in workshop.events.on("tool.call.*")] == [
        "tool.call.started", "tool.call.completed",
    ]  # fmt: skip


@pytest.mark.feature("TOOL-03")
@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (ValueError("no ink"), "ACTION_ERROR", "ValueError: no ink"),
        (SystemExit(3), "ACTION_ERROR", "SystemExit: 3"),
        *(
            (ToolError("x", code, "because"), code, "because")
            for code in (
                "ACTION_ERROR", "ACTION_TIMEOUT", "INVALID_PARAMS", "CAPABILITY_ERROR",
                "PROVIDER_UNAVAILABLE", "PERMISSION_DENIED", "APPROVAL_DENIED", "BUDGET_EXCEEDED",
                "OUTCOME_UNKNOWN",
            )
        ),
    ],
)  # fmt: skip
async def test_what_a_tool_raises_becomes_its_code(
    workshop: Any, failure: BaseException, code: str, message: str
) -> None:
    async def fail(call: ToolCall) -> None:
        raise failure

    workshop.offer("x", fail)
    await workshop.open()
    refused = await workshop.refused("x")
    assert (refused.code, refused.message) == (code, message)
    (told,) = await workshop.events.wait_for("tool.call.failed")
    assert (told.data["code"], told.data["message"]) == (code, message)


@pytest.mark.feature("TOOL-03")
async def test_an_unknown_tool_is_a_capability_error_with_a_hint(workshop: Any) -> None:
    workshop.offer("text:echo")
    await workshop.open()
    refused = await workshop.refused("text:ehco")
    assert refused.code == "CAPABILITY_ERROR"
    assert refused.message == "there is no tool 'text:ehco'; did you mean 'text:echo'?"


@pytest.mark.feature("TOOL-03")
async def test_a_provider_that_is_gone_is_unavailable(workshop: Any) -> None:
    workshop.offer("text:echo")
    await workshop.open()
    await workshop.provider_host.aclose()
    refused = await workshop.refused("text:echo")
    assert refused.code == "PROVIDER_UNAVAILABLE"
    assert "'workshop' is gone" in refused.message
    assert await workshop.listed() == []


@pytest.mark.feature("TOOL-03")
async def test_a_provider_that_is_full_is_unavailable(workshop: Any) -> None:
    release = asyncio.Event()

    async def wait(call: ToolCall) -> str:
        await release.wait()
        return "done"

    workshop.provider = ToolProvider(workshop.provider_host, limit=2)
    workshop.offer("slow", wait)
    await workshop.open()
    calls = [workshop.caller.spawn(workshop.call("slow"), f"c{n}") for n in range(2)]
    await wait_until(lambda: len(workshop.ran) == 2)
    refused = await workshop.refused("slow")
    assert (refused.code, len(workshop.ran)) == ("PROVIDER_UNAVAILABLE", 2)
    release.set()
    assert [(await call).output for call in calls] == ["done", "done"]


@pytest.mark.feature("TOOL-03")
async def test_without_a_broker_tools_are_unavailable() -> None:
    async with running() as runtime:
        result = await call_tool(runtime.host("caller"), ToolCall("x"))
        assert result.code == "PROVIDER_UNAVAILABLE"
        assert result.error is not None
        assert "enable the plugin `tools`" in result.error.message


@pytest.mark.feature("TOOL-03")
async def test_a_chain_of_calls_without_end_is_answered(workshop: Any) -> None:
    """A tool that calls itself is stopped by the bus, and everybody in the chain is told."""

    async def again(call: ToolCall) -> Any:
        inner = await call_tool(workshop.provider_host, ToolCall("again", timeout=0.5))
        return inner.code

    workshop.offer("again", again)
    await workshop.open()
    async with asyncio.timeout(20):
        result = await workshop.call("again", timeout=0.5)
    assert result.code in ("ACTION_OK", "ACTION_ERROR", "ACTION_TIMEOUT")
    assert 1 < len(workshop.ran) <= 16


class Sleeper:
    """A tool that runs a child process for ten seconds."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, call: ToolCall) -> None:
        command = [sys.executable, "-c", "import time; time.sleep(10)"]
        process = self.process = await asyncio.create_subprocess_exec(*command)
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.feature("TOOL-04")
async def test_a_timeout_ends_the_tool_and_its_process(workshop: Any) -> None:
    sleeper = Sleeper()
    workshop.offer("slow", sleeper.run)
    await workshop.open()
    before = sorted(workshop.provider_host.tasks())
    result = await workshop.call("slow", timeout=0.2)
    assert result.code == "ACTION_TIMEOUT"
    assert result.error is not None
    assert "not done within 0.2 s" in result.error.message
    assert 0.2 <= result.duration < 5
    await wait_until(lambda: sorted(workshop.provider_host.tasks()) == before)
    if sleeper.process is not None:  # on a slow machine the time may be over before it starts
        assert sleeper.process.returncode == -signal.SIGKILL
        assert not Path("/proc", str(sleeper.process.pid)).exists()


@pytest.mark.feature("TOOL-03")
@pytest.mark.feature("TOOL-04")
def test_whose_time_counts() -> None:
    """The caller's, else the tool's, else the setting."""

    async def main() -> None:
        async def stuck(call: ToolCall) -> None:
            await asyncio.Event().wait()

        config = {"plugins": {"tools": {"timeout": 300}}}
        async with running("tools", clock=VirtualClock(), config=config) as runtime:
            provider = ToolProvider(runtime.host("workshop"))
            for name, timeout in (("own", 40.0), ("none", 0.0)):
                described = ToolDescriptor(name, name, {"type": "object"}, timeout=timeout)
                provider.add(described, stuck)
            await provider.start()
            caller = runtime.host("caller")
            for name, timeout, expected in (("own", 7, 7), ("own", 0, 40), ("none", 0, 300)):
                result = await call_tool(caller, ToolCall(name, timeout=timeout))
                assert result.code == "ACTION_TIMEOUT"
                assert result.duration == pytest.approx(expected)

    run_virtual(main)


@pytest.mark.feature("TOOL-04")
async def test_one_callers_timeout_does_not_end_anothers_call(workshop: Any) -> None:
    release = asyncio.Event()

    async def slow(call: ToolCall) -> str:
        await release.wait()
        return call.caller

    workshop.offer("slow", slow)
    await workshop.open()
    patient = workshop.runtime.host("patient")
    waiting = patient.spawn(call_tool(patient, ToolCall("slow", id="same")), "call")
    assert (await workshop.call("slow", id="same", timeout=0.05)).code == "ACTION_TIMEOUT"
    release.set()
    assert (await waiting).output == "patient"


@pytest.mark.feature("TOOL-05")
async def test_the_same_id_runs_once_with_the_same_result(workshop: Any) -> None:
    async def count(call: ToolCall) -> int:
        return len(workshop.ran)

    workshop.offer("count", count)
    await workshop.open()
    results = [await workshop.call("count", id="c1") for _ in range(3)]
    assert [result.output for result in results] == [1, 1, 1]
    assert len({result.duration for result in results}) == 1
    assert (await workshop.call("count", id="c2")).output == 2
    assert len(workshop.events.on("tool.call.started")) == 2


@pytest.mark.feature("TOOL-05")
async def test_the_same_id_at_the_same_time_runs_once(workshop: Any) -> None:
    release = asyncio.Event()

    async def slow(call: ToolCall) -> str:
        await release.wait()
        return "done"

    workshop.offer("slow", slow)
    await workshop.open()
    calls = [workshop.caller.spawn(workshop.call("slow", id="c1"), f"{n}") for n in range(5)]
    await wait_until(lambda: workshop.runtime.health()["tools"].metrics["repeated"] == 4)
    release.set()
    assert [(await call).output for call in calls] == ["done"] * 5
    assert len(workshop.ran) == 1


@pytest.mark.feature("TOOL-05")
async def test_another_caller_may_use_the_same_id(workshop: Any) -> None:
    workshop.offer("echo")
    await workshop.open()
    await workshop.call("echo", id="c1")
    await call_tool(workshop.runtime.host("other"), ToolCall("echo", id="c1"))
    assert [call.caller for call in workshop.ran] == ["caller", "other"]


@pytest.mark.feature("TOOL-05")
@pytest.mark.parametrize(("later", "runs"), [(1023, 1), (1024, 2)])
async def test_a_thousand_and_twenty_four_results_are_kept(
    workshop: Any, later: int, runs: int
) -> None:
    workshop.offer("echo")
    await workshop.open()
    await workshop.call("echo", id="first")
    for number in range(later):
        await workshop.call("echo", id=f"c{number}")
    await workshop.call("echo", id="first")
    assert [call.id for call in workshop.ran].count("first") == runs


@pytest.mark.feature("TOOL-06")
@pytest.mark.parametrize(
    ("wanted", "got"),
    [("", "10.0"), ("1", "1.10"), ("1.9", "1.9"), ("1.10", "1.10"), ("2", "2.0"), ("1.9.1", "")],
)
async def test_versions_live_side_by_side(workshop: Any, wanted: str, got: str) -> None:
    async def which(call: ToolCall) -> str:
        return call.version

    for version in ("1.9", "10.0", "2.0", "1.10"):
        workshop.offer("tool", which, version=version)
    await workshop.open()
    result: ToolResult = await workshop.call("tool", version=wanted)
    if got:
        assert result.output == got
    else:
        assert result.code == "CAPABILITY_ERROR"
        assert result.error is not None
        assert result.error.message == f"no version {wanted!r}; there is 10.0, 2.0, 1.10, 1.9"


@pytest.mark.feature("TOOL-06")
async def test_each_version_has_a_schema_of_its_own(workshop: Any) -> None:
    workshop.offer("tool", version="1.0", parameters={"type": "object", "required": ["old"]})
    workshop.offer("tool", version="2.0", parameters={"type": "object", "required": ["new"]})
    await workshop.open()
    assert (await workshop.call("tool", {"new": 1})).is_ok
    assert (await workshop.call("tool", {"old": 1}, version="1")).is_ok
    assert (await workshop.refused("tool", {"old": 1})).details["field"] == "new"


@pytest.mark.feature("TOOL-01")
async def test_one_list_of_what_all_providers_announce(workshop: Any) -> None:
    workshop.offer("b:two")
    workshop.offer("a:one", provider="wasm")
    await workshop.open()
    assert [tool.name for tool in await workshop.listed()] == ["a:one", "b:two"]
    assert [tool.name for tool in await workshop.listed(provider="wasm")] == ["a:one"]
    (one,) = await workshop.listed(name="b:two")
    assert (one.owner, one.version, one.provider) == ("workshop", "1.0", "native")


class LateBroker:
    """Comes when the providers are there already, and notes what they offer."""

    def __init__(self) -> None:
        self.offered: list[tuple[str, list[str]]] = []

    async def run(self, caller: str, call: ToolCall) -> tuple[ToolResult, frozenset[str]]:
        return ToolResult(call.id), frozenset()

    def offer(self, owner: str, tools: Iterable[ToolDescriptor], provider: Provider) -> None:
        self.offered.append((owner, [tool.name for tool in tools]))

    def leave(self, owner: str, provider: Provider) -> None:
        self.offered.append((owner, []))


@pytest.mark.feature("TOOL-01")
async def test_a_provider_that_was_there_first_offers_when_the_broker_comes() -> None:
    async with running() as runtime:
        host, broker = runtime.host("workshop"), LateBroker()
        provider = ToolProvider(host)
        provider.add(ToolDescriptor("a", "a", {"type": "object"}), _nothing)
        await provider.start()
        runtime.host("tools").provide(Tools, broker)
        await host.publish("tool.provider.wanted")
        await wait_until(lambda: broker.offered)
        await host.aclose()
        assert broker.offered == [("workshop", ["a"]), ("workshop", [])]


async def _nothing(call: ToolCall) -> None: ...


@pytest.mark.feature("TOOL-01")
async def test_a_name_belongs_to_who_announced_it_first(workshop: Any) -> None:
    workshop.offer("mine")
    await workshop.open()
    thief = ToolProvider(workshop.runtime.host("thief"))
    thief.add(ToolDescriptor("mine", "mine", {"type": "object"}), _nothing)
    await thief.start()
    (refused,) = await workshop.events.wait_for("tool.provider.refused")
    assert "provided by 'workshop' already" in refused.data["reason"]
    await thief.withdraw()
    assert (await workshop.call("mine", {"x": 1})).output == {"x": 1}


@pytest.mark.feature("TOOL-01")
async def test_withdrawn_tools_are_gone(workshop: Any) -> None:
    workshop.offer("a")
    await workshop.open()
    await workshop.provider.withdraw()
    assert (await workshop.refused("a")).code == "CAPABILITY_ERROR"
    assert await workshop.listed() == []


@pytest.mark.feature("TOOL-01")
async def test_the_caller_is_who_asks_not_who_the_call_says(workshop: Any) -> None:
    workshop.offer("a")
    await workshop.open()
    await workshop.call("a", caller="somebody-else")
    assert workshop.ran[0].caller == "caller"
