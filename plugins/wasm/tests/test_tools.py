"""Tools in WebAssembly, called through the broker as any other tool."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import ToolProgress, ToolResult, read
from loom_kernel.testing import EventRecorder, check_plugin_contract

from plugins.wasm.tests.site import App, build_c, build_wat, manifest
from plugins.wasm.tests.snippets import COUNTING, ECHO_COMPONENT, LOGGING_COMPONENT

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-02")]
EXPORTS = ("count", "echo", "refuse", "mutter", "spin", "remember", "grow")


def words(app: App, **more: Any) -> None:
    module = build_c("words.c", app.folder / "words.wasm")
    app.add("words", module, manifest(*EXPORTS), **{"seconds": 0.3, **more})


def message(result: ToolResult) -> str:
    assert result.error is not None, result
    return result.error.message


async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("wasm")


async def test_a_tool_written_in_c_answers_through_the_broker(app: App) -> None:
    words(app)
    async with app.running():
        assert await app.state("words") == ("ready", "")
        counted = await app.call("words:count", {"text": "one two three"})
        echoed = await app.call("words:echo", {"text": "grüße, world"})
        listed = (await app.caller.request("tool.list", {"provider": "wasm"})).data["tools"]
    assert (counted.code, counted.output) == ("ACTION_OK", 3)
    assert echoed.output == {"text": "grüße, world"}
    assert sorted(tool.name for tool in listed) == sorted(f"words:{name}" for name in EXPORTS)


async def test_tools_may_be_described_in_the_table_itself(app: App) -> None:
    tool = {"name": "copy", "description": "Copies", "export": "echo", "permissions": ["odd"]}
    module = build_c("words.c", app.folder / "words.wasm")
    app.tables["words"] = {"module": str(module), "kind": "extism", "tool": [tool]}
    async with app.running():
        (listed,) = (await app.caller.request("tool.list", {"provider": "wasm"})).data["tools"]
    assert (listed.name, listed.permissions) == ("words:copy", ("odd",))


async def test_what_goes_wrong_in_a_guest_is_said_with_a_code(app: App) -> None:
    words(app)
    async with app.running():
        refused = await app.call("words:refuse")
        muttered = await app.call("words:mutter")
        spun = await app.call("words:spin")
        after = await app.call("words:echo", {"still": "there"})
        large = await app.call("words:echo", {"text": "x" * (1 << 20)})
    assert (refused.code, message(refused)) == ("ACTION_ERROR", "I will not")
    assert muttered.code == "ACTION_ERROR"
    assert "no JSON" in message(muttered)
    assert (spun.code, message(spun)) == ("ACTION_TIMEOUT", "it took longer than 0.3 s")
    assert after.output == {"still": "there"}
    assert large.code == "INVALID_PARAMS"


@pytest.mark.feature("SEC-03")
async def test_no_call_sees_what_another_left_behind(app: App) -> None:
    words(app)
    module = build_c("words_core.c", app.folder / "plain.wasm")
    app.add("plain", module, manifest("echo", "refuse", "remember"), kind="component")
    async with app.running():
        for tool in ("words:remember", "plain:remember"):
            assert [(await app.call(tool)).output for _ in range(3)] == [1, 1, 1]
        echoed = await app.call("plain:echo", {"text": "x" * 1000})
        refused = await app.call("plain:refuse")
    assert echoed.output == {"text": "x" * 1000}
    assert (refused.code, message(refused)) == ("ACTION_ERROR", "I will not")


async def test_a_component_is_typed_and_answers(app: App) -> None:
    module = build_wat(ECHO_COMPONENT, app.folder / "typed.wasm")
    app.add("typed", module, manifest("echo", "refuse", "spin"), "component", seconds=0.2)
    logging = build_wat(LOGGING_COMPONENT, app.folder / "logging.wasm")
    app.add("logging", logging, manifest("run"), "component", functions=["log", "now"])
    async with app.running():
        assert await app.state("typed") == ("ready", "")
        assert await app.state("logging") == ("ready", "")
        echoed = await app.call("typed:echo", {"text": "grüße"})
        refused = await app.call("typed:refuse", {"text": "no"})
        spun = await app.call("typed:spin")
        logged = await app.call("logging:run", {"text": "hello"})
    assert echoed.output == {"text": "grüße"}
    assert (refused.code, message(refused)) == ("ACTION_ERROR", '{"text":"no"}')
    assert spun.code == "ACTION_TIMEOUT"
    assert logged.output == {"text": "hello"}


async def test_progress_is_told_if_it_was_granted_and_no_more_of_it_than_can_be_read(
    app: App,
) -> None:
    module = build_wat(COUNTING, app.folder / "count.wasm")
    app.add("count", module, manifest("run"), "component", functions=["progress"])
    app.add("mute", module, manifest("run"), "component")
    async with app.running():
        told = EventRecorder(app.caller, "tool.call.progressed")
        assert (await app.call("count:run")).output == 7
        news = [read(event, ToolProgress) for event in await told.wait_for("tool.call.progressed")]
        refused = await app.state("mute")
    steps = [one.done for one in news]
    assert {(one.total, one.message) for one in news} == {(200.0, "step")}
    assert steps[:50] == list(range(1, 51))
    assert steps == sorted(set(steps))
    assert len(steps) < 200
    assert refused == ("refused", "it imports what was not granted: loom::progress")


async def test_a_cancelled_call_ends_at_once_and_the_next_one_works(app: App) -> None:
    words(app, seconds=30.0)
    async with app.running():
        started = EventRecorder(app.caller, "tool.call.started")
        call = app.caller.spawn(app.call("words:spin", timeout=60.0), "call")
        await started.wait_for("tool.call.started")
        begin = time.monotonic()
        call.cancel()
        await asyncio.wait([call])
        assert time.monotonic() - begin < 0.5
        after = await app.call("words:echo", {"still": "there"}, timeout=20.0)
    assert after.output == {"still": "there"}


async def test_calls_run_side_by_side_in_as_many_workers_as_there_are(app: App) -> None:
    words(app, instances=2, seconds=0.5)
    async with app.running():
        begin = time.monotonic()
        spun = await asyncio.gather(*(app.call("words:spin") for _ in range(2)))
        lasted = time.monotonic() - begin
    assert [result.code for result in spun] == ["ACTION_TIMEOUT"] * 2
    assert lasted < 0.95  # one after the other it would be a second


@pytest.mark.feature("SEC-05")
async def test_an_event_is_answered_with_events(app: App) -> None:
    words(app, subscribe=["text.>"], publish=["words.*"])
    async with app.running():
        said = EventRecorder(app.caller, "words.>", "home.>", "$loom.error")
        await app.caller.publish("text.written", {"text": "two words"})
        (counted,) = await said.wait_for("words.counted")
        assert (counted.sender, counted.data) == ("wasm/words", {"count": 2})
        await app.caller.publish("text.written", {"text": "evil"})
        (error,) = await said.wait_for("$loom.error")
        assert "home.door.opened" in str(error.data)
        assert not said.on("home.>")


async def test_compiled_code_is_kept_on_disk(app: App) -> None:
    words(app)
    async with app.running():
        (folder,) = (app.runtime.host("witness").world.paths.of("wasm").cache).iterdir()
        assert {"code", "report.json"} <= {file.name for file in folder.iterdir()}
        assert any(file.is_file() for file in Path(folder, "extism").rglob("*"))
        assert folder.stat().st_mode & 0o777 == 0o700
