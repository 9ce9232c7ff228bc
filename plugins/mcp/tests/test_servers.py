"""Servers that nobody here wrote, and a strict one: their tools are Loom's."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import Envelope, current
from loom_kernel.testing import EventRecorder, check_plugin_contract

from plugins.mcp.tests.house import PATIENCE, node_server, open_house, scripted

pytestmark = pytest.mark.anyio


async def test_it_keeps_the_contract_of_every_plugin() -> None:
    await check_plugin_contract("mcp")


@pytest.mark.feature("MCP-01")
@pytest.mark.feature("MCP-02")
async def test_a_strict_server_that_demands_to_be_initialized_works(tmp_path: Path) -> None:
    async with open_house(tmp_path, strict=scripted("plain")) as house:
        assert (await house.server("strict"))["protocol"] == "2025-11-25"
        result = await house.call("strict:echo", text="héllo")
        assert result.output["structured"] == {"text": "héllo"}
        assert await house.text("strict:echo", text="again") == "again"


@pytest.mark.feature("X-02")
async def test_what_a_server_answers_labels_all_that_follows(tmp_path: Path) -> None:
    async with open_house(tmp_path, plain=scripted("plain")) as house:
        said = EventRecorder(house.runtime.host("ear"), "said")

        async def ask_and_tell() -> None:
            current.set(Envelope("question", "loom://person", 1.0, "question"))
            await house.agent.publish("said", "before")
            await house.call("plain:echo", text="a stranger's words")
            await house.agent.publish("said", "after")

        await house.agent.spawn(ask_and_tell(), "ask")
        labels = [event.labels for event in said.events]
        assert labels == [frozenset(), frozenset({"untrusted"})]


@pytest.mark.feature("MCP-01")
@pytest.mark.feature("X-12")
async def test_servers_of_the_python_package_index(tmp_path: Path) -> None:
    made = await asyncio.create_subprocess_exec("git", "init", "-q", str(tmp_path / "code"))
    assert await made.wait() == 0
    (tmp_path / "code" / "new.txt").write_text("new")
    git = {"command": "mcp-server-git", "args": ["--repository", str(tmp_path / "code")],
           "read": ["code"], "timeout": PATIENCE}  # fmt: skip
    async with open_house(tmp_path, time={"command": "mcp-server-time"}, git=git) as house:
        assert (await house.server("time"))["protocol"] == "2026-07-28"
        result = await house.call("time:get_current_time", timezone="UTC")
        assert result.output["structured"]["timezone"] == "UTC"
        assert "new.txt" in await house.text("git:git_status", repo_path=str(tmp_path / "code"))
        wrong = await house.call("time:get_current_time")
        assert (wrong.code, wrong.error and wrong.error.details) == (
            "INVALID_PARAMS", {"field": "timezone", "rule": "required"}
        )  # fmt: skip
        tools = await house.tools("time")
        assert tools["time:get_current_time"].labels == ("untrusted",)
        assert tools["time:get_current_time"].permissions == ("mcp",)


@pytest.mark.feature("MCP-05")
@pytest.mark.feature("X-12")
async def test_the_everything_server_of_npm(tmp_path: Path) -> None:
    everything = {"command": node_server("mcp-server-everything"), "timeout": PATIENCE}
    async with open_house(tmp_path, everything=everything) as house:
        assert (await house.server("everything"))["protocol"] == "2025-11-25"
        assert "hi" in await house.text("everything:echo", message="hi")
        total = await house.text("everything:get-sum", a=2, b=40)
        assert "42" in total
        image = (await house.call("everything:get-tiny-image")).output["content"]
        assert [part["mimeType"] for part in image if part["type"] == "image"] == ["image/png"]
        await house.call("everything:trigger-long-running-operation", duration=1, steps=4)
        steps = [event.data for event in house.events.on("tool.call.progressed")]
        assert [(step.done, step.total) for step in steps][-1] == (4.0, 4.0)
        listed = await house.ask("mcp.resource.list", house.agent, server="everything")
        first = listed["resources"][0]["uri"]
        read = await house.ask("mcp.resource.read", house.agent, server="everything", uri=first)
        assert read["contents"][0]["uri"] == first
        prompts = await house.ask("mcp.prompt.list", house.agent, server="everything")
        assert "simple-prompt" in [one["name"] for one in prompts["prompts"]]
        said = await house.ask(
            "mcp.prompt.get", house.agent, server="everything", name="simple-prompt"
        )
        assert said["messages"][0]["role"] == "user"


@pytest.mark.feature("MCP-01")
async def test_the_filesystem_server_of_npm_reads_only_what_it_was_granted(tmp_path: Path) -> None:
    for name in ("granted", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"text of {name}")
    files = {
        "command": node_server("mcp-server-filesystem"), "timeout": PATIENCE,
        "args": [str(tmp_path / "granted")], "read": ["granted"],
    }  # fmt: skip
    async with open_house(tmp_path, files=files) as house:
        path = str(tmp_path / "granted" / "a.txt")
        assert "text of granted" in await house.text("files:read_text_file", path=path)
        written = await house.call("files:write_file", path=path, content="changed")
        assert written.code == "ACTION_ERROR"
        assert Path(path).read_text() == "text of granted"


@pytest.mark.feature("MCP-02")
async def test_two_servers_with_equal_tool_names_coexist(tmp_path: Path) -> None:
    servers: dict[str, Any] = {
        "one": scripted("plain"),
        "two": scripted("plain", include=["echo", "seen"]),
    }
    async with open_house(tmp_path, **servers) as house:
        assert await house.text("one:echo", text="1") == "1"
        assert json.loads(await house.text("two:seen"))["calls"] == 1
        assert json.loads(await house.text("one:seen"))["calls"] == 2
        assert sorted(await house.tools("two")) == ["two:echo", "two:seen"]


@pytest.mark.feature("MCP-02")
async def test_a_listing_of_several_pages_is_read_to_its_end(tmp_path: Path) -> None:
    async with open_house(tmp_path, paged=scripted("paged")) as house:
        assert len(await house.tools("paged")) == 25


@pytest.mark.feature("MCP-02")
async def test_a_version_that_we_do_not_speak_is_a_clear_error(tmp_path: Path) -> None:
    async with open_house(tmp_path, trusted=False, old=scripted("version")) as house:
        found = await house.ask("mcp.server.inspect", server="old")
        assert found["code"] == "ACTION_ERROR"
        assert "Unsupported protocol version from the server: 1999-01-01" in found["message"]


@pytest.mark.feature("MCP-02")
async def test_a_server_does_not_speak_another_version_than_its_owner_wants(tmp_path: Path) -> None:
    table = scripted("plain", protocol="2026-07-28")
    async with open_house(tmp_path, trusted=False, old=table) as house:
        found = await house.ask("mcp.server.inspect", server="old")
        assert found["code"] == "ACTION_ERROR"
        assert "it speaks 2025-" in found["message"]
        assert "'2026-07-28'" in found["message"]


@pytest.mark.feature("MCP-03")
async def test_failures_are_told_apart(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain", timeout=0.5)) as house:
        failed = await house.call("one:fail")
        assert (failed.code, failed.error and failed.error.message) == (
            "ACTION_ERROR", "it did not work"
        )  # fmt: skip
        assert (await house.call("one:hang")).code == "ACTION_TIMEOUT"
        seen = json.loads(await house.text("one:seen"))
        assert len(seen["cancelled"]) == 1  # the server was told to stop
        assert (await house.call("one:wrong")).code == "ACTION_ERROR"
        large = await house.call("one:big", size=1_200_000)
        assert large.code == "ACTION_ERROR"
        assert large.error is not None
        assert "at most 1000000 are taken" in large.error.message
        assert (await house.call("one:nothing")).code == "CAPABILITY_ERROR"
        assert await house.text("one:echo", text="still here") == "still here"


@pytest.mark.feature("MCP-03")
async def test_parts_and_progress_reach_the_caller(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain")) as house:
        parts = (await house.call("one:parts")).output["content"]
        assert [part["type"] for part in parts] == ["text", "image", "resource", "resource_link"]
        assert parts[2]["resource"]["text"] == "one"
        await house.call("one:count")
        told = await house.events.wait_for("tool.call.progressed")
        assert (told[-1].data.done, told[-1].data.message) == (3.0, "step 3")


@pytest.mark.feature("MCP-05")
async def test_resources_prompts_and_notifications_reach_an_agent(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain")) as house:
        listed = await house.ask("mcp.resource.list", house.agent, server="one")
        assert [one["uri"] for one in listed["resources"]] == ["memo://one"]
        read = await house.ask("mcp.resource.read", house.agent, server="one", uri="memo://one")
        assert read["contents"] == [{"uri": "memo://one", "text": "one"}]
        said = await house.ask(
            "mcp.prompt.get", house.agent, server="one", name="greet", arguments={"who": "Ada"}
        )
        assert said["messages"][0]["content"]["text"] == "Greet Ada"
        await house.call("one:noise")
        (line,) = await house.events.wait_for("mcp.one.logged")
        assert line.data == {"level": "warning", "logger": "me", "message": "a[2Jline"}
        assert "untrusted" in line.labels
        await house.call("one:follow")
        (news,) = await house.events.wait_for("mcp.one.resource.updated")
        assert news.data == {"uri": "memo://one"}
        lost = await house.ask("mcp.resource.read", house.agent, server="two", uri="x")
        assert lost["code"] == "ACTION_ERROR"


@pytest.mark.feature("MCP-01")
async def test_the_environment_configures_servers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loom_kernel import Paths, load_config

    monkeypatch.setenv("LOOM_MCP__CLOCK__COMMAND", sys.executable)
    monkeypatch.setenv("LOOM_MCP__CLOCK__ARGS", '["-m", "clock"]')
    paths = Paths(config=tmp_path, state=tmp_path, cache=tmp_path)
    assert load_config(paths).values["mcp"] == {
        "clock": {"command": sys.executable, "args": ["-m", "clock"]}
    }
