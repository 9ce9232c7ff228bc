"""The page about MCP servers does what it says, with a Loom that runs in the background."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, blocks
from tests.e2e.instance import Instance, wait_for

PAGE = ROOT / "docs/how-to/use-mcp-servers.md"
CLOCK = next(block.text for block in blocks(PAGE, "toml"))
(TELLER,) = (block.text for block in blocks(PAGE, "python"))


@pytest.fixture
def loom(home: Path) -> Iterator[Instance]:
    with Instance(home / "app", "agents", "tools", "sandbox", "mcp", config=CLOCK) as instance:
        (instance.folder / "agents").mkdir()
        (instance.folder / "agents" / "teller.py").write_text(TELLER, "utf-8")
        instance.environment["LOOM_MCP__OTHER__COMMAND"] = "mcp-server-time"
        instance.environment["LOOM_MCP__OTHER__INCLUDE"] = '["convert_time"]'
        instance.up()
        yield instance


def servers(loom: Instance) -> dict[str, dict[str, Any]]:
    listed = json.loads(loom.loom("mcp", "list", "--json").stdout)
    return {one["server"]: one for one in listed}


@pytest.mark.feature("MCP-01")
@pytest.mark.feature("X-11")
def test_an_owner_accepts_servers_and_an_agent_uses_their_tools(loom: Instance) -> None:
    wait_for(lambda: servers(loom)["clock"]["state"] == "untrusted")
    for name in ("clock", "other"):  # one from the file, one from the environment
        done = loom.loom("mcp", "trust", name, "--yes")
        assert done.returncode == 0, done.stderr
        assert f"{name}:convert_time(source_timezone, time, target_timezone)" in done.stdout
    wait_for(lambda: all(one["state"] == "running" for one in servers(loom).values()))
    assert servers(loom)["other"]["tools"] == ["convert_time"]
    told = loom.tail("clock.told")
    loom.loom("publish", "clock.asked", "{}")
    assert told.stdout is not None
    event = json.loads(told.stdout.readline())
    assert event["data"]["timezone"] == "UTC"
    assert "untrusted" in event["labels"]
    assert sorted(json.loads((loom.folder / "tools.lock").read_text())["mcp"]) == ["clock", "other"]
