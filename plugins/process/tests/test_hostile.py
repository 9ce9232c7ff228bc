"""Programs that do whatever they should not: what reaches the caller, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import ToolCall
from loom_kernel.testing import wait_until

from plugins.process.tests.house import House, house, is_alive, program

pytestmark = pytest.mark.anyio

GRANTED = {"subscribe": ["do.*"], "publish": ["done.>"]}
QUICK: dict[str, Any] = {
    "health_interval": 0.2, "health_timeout": 0.2, "cancel_timeout": 0.5, "kill_after": 0.5,
    "first_delay": 0.05, "stop_timeout": 0.5, "max_restarts": 100,
}  # fmt: skip


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, {"hostile": program("hostile.py", **GRANTED)}, **QUICK) as home:
        await home.reached("hostile", "running")
        yield home


# -- rights ---------------------------------------------------------------------------------------


@pytest.mark.feature("SEC-05", "PLG-03")
async def test_what_is_asked_for_without_a_grant_is_refused_and_told(home: House) -> None:
    record = await home.record("hostile")
    assert sorted(record["refused"]) == ["subscribe secret.>", "tool hostile:forbidden"]
    assert "hostile:forbidden" not in record["tools"]
    assert (await home.call("hostile:forbidden")).code == "CAPABILITY_ERROR"
    await home.caller.publish("secret.key", "hidden")
    await home.caller.publish("do.both", ["done.this", "tool.call", "$loom.stopping", "undone"])
    await home.events.wait_for("plugin.refused", count=3)
    await home.events.wait_for("done.this")
    (done,) = home.events.on("done.this")
    assert done.sender == "hostile"
    assert not home.events.on("undone")
    told = {(event.data["asked"], event.data["what"]) for event in home.refusals("hostile")}
    assert told >= {("publish", "tool.call"), ("publish", "$loom.stopping"), ("publish", "undone")}
    assert not (await home.record("hostile"))["events"]["failed"]


@pytest.mark.feature("SEC-05")
async def test_refusals_are_put_into_the_audit(tmp_path: Path) -> None:
    from loom.contracts import Audit

    entries: list[tuple[str, str, str]] = []

    class Ledger:
        def record(self, event: str, who: str, what: str, **details: object) -> None:
            entries.append((event, who, what))

    async with house(tmp_path, {"hostile": program("hostile.py")}) as home:
        home.runtime.host("ledger").provide(Audit, Ledger())
        await home.reached("hostile", "running")
    assert ("plugin.refused", "hostile", "tool hostile:forbidden") in entries


@pytest.mark.feature("PLG-03")
async def test_the_token_is_in_neither_arguments_nor_environment(home: House) -> None:
    seen = (await home.call("hostile:seen")).output
    pid = (await home.record("hostile"))["pid"]
    said = json.dumps(seen) + Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    words = {word for word in said.replace('"', " ").replace("=", " ").split() if len(word) >= 64}
    assert not {word for word in words if set(word) <= set("0123456789abcdef")}
    assert seen["environment"]["LOOM_PLUGIN_TOKEN_FD"].isdecimal()
    assert "PYTEST_CURRENT_TEST" not in seen["environment"]


@pytest.mark.feature("PLG-03")
async def test_a_stranger_without_the_token_is_refused(home: House) -> None:
    import grpc
    from loom_plugin_process.line import Line

    folder = (await home.call("hostile:seen")).output["environment"]["LOOM_PLUGIN_DIR"]
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert Path(folder, "plugin.sock").stat().st_mode & 0o777 == 0o600
    line = Line(f"{folder}/plugin.sock", "0" * 64, 1 << 20)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await line.health(5.0)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await line.aclose()


@pytest.mark.feature("SEC-03")
async def test_it_reaches_only_what_it_was_granted(tmp_path: Path, home: House) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden", "utf-8")
    result = await home.call("hostile:reach", path=str(secret))
    assert result.code == "ACTION_ERROR"
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = await home.call("hostile:dial", port=server.getsockname()[1])
    assert result.code == "ACTION_ERROR"


# -- calls ----------------------------------------------------------------------------------------


@pytest.mark.feature("TOOL-04", "PLG-03")
async def test_a_call_that_can_be_cancelled_is_and_the_plugin_stays(home: House) -> None:
    before = await home.record("hostile")
    result = await home.call("hostile:sleep", 0.2)
    assert result.code == "ACTION_TIMEOUT"
    assert result.duration < 1.0
    assert (await home.call("hostile:echo", text="still here")).output == "still here"
    assert (await home.record("hostile"))["pid"] == before["pid"]


@pytest.mark.corpus
@pytest.mark.feature("TOOL-04", "SEC-03")
@pytest.mark.parametrize("tool", ["hang", "block", "spin"])
async def test_one_that_cannot_is_ended_with_its_process(home: House, tool: str) -> None:
    pid = (await home.record("hostile"))["pid"]
    result = await home.call(f"hostile:{tool}", 0.2)
    assert result.code == "ACTION_TIMEOUT"
    await wait_until(lambda: not is_alive(pid), 10.0)
    (told,) = await home.events.wait_for("process.hostile.restarting")
    assert "did not" in told.data["reason"]
    await home.reached("hostile", "running")
    assert (await home.call("hostile:echo", text="again")).output == "again"


@pytest.mark.feature("PLG-03")
async def test_of_a_crash_nobody_knows_how_far_the_call_came(home: House) -> None:
    result = await home.call("hostile:crash")
    assert result.code == "OUTCOME_UNKNOWN"
    await home.reached("hostile", "restarting")
    down = await home.call("hostile:echo", text="you there?")
    assert down.code == "PROVIDER_UNAVAILABLE"
    told = (await home.events.wait_for("process.hostile.restarting"))[0].data["reason"]
    assert told == "it ended with exit code 11; it said: segmentation fault, as it were"
    await home.reached("hostile", "running")
    assert (await home.call("hostile:read")).code == "PROVIDER_UNAVAILABLE", "it may be repeated"


@pytest.mark.feature("PLG-03", "SEC-03")
async def test_a_memory_hog_is_stopped_and_reported(home: House) -> None:
    result = await home.call("hostile:hog", 20.0)
    assert result.code in ("ACTION_ERROR", "OUTCOME_UNKNOWN")
    assert result.error is not None
    assert "MemoryError" in result.error.message or "ended during the call" in result.error.message


@pytest.mark.feature("PLG-03")
async def test_an_answer_beyond_the_frame_is_refused_and_the_plugin_stays(home: House) -> None:
    pid = (await home.record("hostile"))["pid"]
    result = await home.call("hostile:big", 20.0, size=5 << 20)
    assert result.code == "ACTION_ERROR"
    assert result.error is not None
    assert "RESOURCE_EXHAUSTED" in result.error.message
    assert len((await home.call("hostile:big", 20.0, size=900 << 10)).output) == 900 << 10
    assert (await home.record("hostile"))["pid"] == pid


@pytest.mark.feature("PLG-03")
async def test_arguments_beyond_the_frame_are_not_sent(tmp_path: Path) -> None:
    async with house(tmp_path, {"hostile": program("hostile.py", frame=1)}) as home:
        await home.reached("hostile", "running")
        result = await home.call("hostile:echo", text="x" * (1 << 20))
        assert result.code == "INVALID_PARAMS"


@pytest.mark.feature("PLG-03")
@pytest.mark.reliability("R14")
async def test_a_flood_of_output_keeps_nobody_waiting(tmp_path: Path) -> None:
    programs = {"hostile": program("hostile.py"), "words": program("words.py")}
    async with asyncio.timeout(30), house(tmp_path, programs, **QUICK) as home:
        for name in programs:
            await home.reached(name, "running")
        flood = home.caller.spawn(home.call("hostile:flood", 15.0, lines=20_000), "flood")
        for _ in range(20):
            assert (await home.call("words:echo", 2.0, text="calm")).output == "calm"
        assert (await home.call("hostile:echo", 2.0, text="calm")).output == "calm"
        assert (await flood).output == 20_000


# -- events ---------------------------------------------------------------------------------------


@pytest.mark.feature("PLG-03")
async def test_an_event_that_fails_is_the_only_one_that_does(home: House) -> None:
    for topic in ("do.fail", "do.this"):
        await home.caller.publish(topic, "done.this")
    await home.events.wait_for("done.this")
    events = (await home.record("hostile"))["events"]
    assert events == {"handled": 1, "failed": 1, "published": 1}


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.feature("PLG-03")
@pytest.mark.reliability("R14")
async def test_one_that_is_stopped_dead_is_missed_and_replaced(home: House) -> None:
    import signal

    pid = (await home.record("hostile"))["pid"]
    os.kill(pid, signal.SIGSTOP)  # the watcher of the sandbox; the plugin goes on
    for child in children(pid):
        os.kill(child, signal.SIGSTOP)
    await home.events.wait_for("process.hostile.restarting", timeout=5.0)
    await wait_until(lambda: not is_alive(pid), 5.0)
    await home.reached("hostile", "running")


@pytest.mark.feature("PLG-03")
@pytest.mark.reliability("R14")
async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = program("hostile.py", env={"IGNORE_TERM": "1"})
    async with house(tmp_path, {"hostile": stubborn}, **QUICK) as home:
        pid = (await home.reached("hostile", "running"))["pid"]
        assert (await home.call("hostile:hang", 0.1)).code == "ACTION_TIMEOUT"
        await wait_until(lambda: not is_alive(pid), 10.0)


@pytest.mark.feature("PLG-03")
async def test_nothing_is_left_of_it_when_the_runtime_has_ended(tmp_path: Path) -> None:
    stubborn = program("hostile.py", env={"IGNORE_TERM": "1"})
    programs = {"hostile": stubborn, "words": program("words.py")}
    async with house(tmp_path, programs) as home:
        pids = [(await home.reached(name, "running"))["pid"] for name in programs]
        state = home.owner.world.paths.state
        call = ToolCall("hostile:hang", timeout=60.0)
        await home.caller.publish("tool.call", call)
        await home.events.wait_for("tool.call.started")
        assert list(state.rglob("*.sock"))
    assert not [pid for pid in pids if is_alive(pid)]
    assert not list(state.rglob("*.sock"))


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    found = [int(word) for word in text.split()]
    return [*found, *(below for child in found for below in children(child))]
