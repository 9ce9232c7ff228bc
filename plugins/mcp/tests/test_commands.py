"""`loom mcp`, as its owner types it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from loom_kernel.testing import EventRecorder, running

from plugins.mcp.tests.house import QUICK, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-11")]

LOOM = str(Path(sys.executable).with_name("loom"))


async def loom(state: Path, *words: str, said: str = "") -> tuple[int, str]:
    """Exit code and output of `loom mcp …`."""
    process = await asyncio.create_subprocess_exec(
        LOOM, "mcp", *words, "--state", str(state), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(said.encode())
    return process.returncode or 0, output.decode()


async def test_the_owner_looks_accepts_and_forgets(home: Path) -> None:
    config = {"mcp": {"one": scripted("ansi")}, "plugins": {"mcp": QUICK}}
    plugins = ("tools", "sandbox", "control", "mcp")
    async with running(*plugins, config=config, state=home) as runtime:
        events = EventRecorder(runtime.host("witness"), "mcp.one.state")
        code, said = await loom(home, "list")
        assert code == 0
        assert "its command was never accepted: loom mcp trust one" in said

        code, said = await loom(home, "trust", "one", said="n\n")
        assert (code, "one was not started" in said) == (1, True)
        assert "network    none" in said
        assert "one brings" not in said

        code, said = await loom(home, "trust", "one", said="y\nn\n")
        assert (code, "one was not accepted" in said) == (1, True)
        assert "one:echo(a)" in said
        assert "cannot be used: its name is no name for a tool" in said
        assert said.replace("\n", "").isprintable()
        assert not (home / "tools.lock").exists()

        code, said = await loom(home, "trust", "one", "--yes")
        assert (code, "one is accepted as it is now" in said) == (0, True)
        while events.events[-1].data["state"] != "running":
            await events.wait_for("mcp.one.state", len(events.events) + 1)
        code, said = await loom(home, "list", "--json")
        (server,) = json.loads(said)
        assert (server["state"], server["tools"]) == ("running", ["echo"])

        code, said = await loom(home, "trust", "one", "--yes", "--json")
        assert (code, json.loads(said)["differences"]) == (0, [])
        assert (await loom(home, "restart", "one"))[0] == 0
        assert (await loom(home, "forget", "one"))[0] == 0
        code, said = await loom(home, "trust", "two")
        assert (code, said) == (
            1, "loom: there is no MCP server 'two'; the configuration has: one\n"
        )  # fmt: skip
        assert (await loom(home, "trust", "one", "--json"))[0] == 2
    assert (await loom(home, "list"))[0] == 4
