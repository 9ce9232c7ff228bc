"""A running Loom with MCP servers, and what its owner and an agent can do."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import ToolCall, ToolDescriptor, ToolResult
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, running

SCRIPTED = Path(__file__).with_name("scripted.py")
NODE = Path(__file__).with_name("node")
QUICK = {"first_delay": 0.05, "longest_delay": 0.1, "stop_timeout": 0.3}
PATIENCE = 20.0


def scripted(mode: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """The table of a scripted server."""
    return {
        "command": sys.executable, "args": ["-S", str(SCRIPTED), mode, *arguments],
        "read": [str(SCRIPTED)], "timeout": 5.0, **more,
    }  # fmt: skip


class House:
    """A runtime in an app folder."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.owner: Host = runtime.host("cli")
        self.agent: Host = runtime.host("agent")
        self.events = EventRecorder(runtime.host("witness"), "mcp.>", "tool.>")

    async def ask(self, topic: str, host: Host | None = None, **data: Any) -> Any:
        """What a request is answered."""
        reply = await (host or self.owner).request(topic, data, timeout=PATIENCE)
        return reply.data

    async def server(self, name: str) -> dict[str, Any]:
        """How a server is."""
        listed = (await self.ask("mcp.server.list"))["servers"]
        found: dict[str, Any] = next(one for one in listed if one["server"] == name)
        return found

    async def state(self, name: str, state: str) -> dict[str, Any]:
        """Wait until a server is in *state*."""
        seen = 0
        while True:
            found = await self.server(name)
            if found["state"] == state:
                return found
            seen += 1
            told = await self.events.wait_for(f"mcp.{name}.state", seen, timeout=PATIENCE)
            seen = max(seen, len(told))

    async def trust(self, name: str, state: str = "running") -> dict[str, Any]:
        """Accept a server as it is now, and wait until it is in *state*."""
        found = await self.ask("mcp.server.inspect", server=name)
        assert found["code"] == "ACTION_OK", found
        done = await self.ask("mcp.server.trust", server=name, digest=found["digest"])
        assert done["code"] == "ACTION_OK", done
        await self.state(name, state)
        return dict(found)

    async def call(self, name: str, **arguments: Any) -> ToolResult:
        return await call_tool(self.agent, ToolCall(name, arguments))

    async def text(self, name: str, **arguments: Any) -> str:
        """The text that a tool answers."""
        result = await self.call(name, **arguments)
        assert result.code == "ACTION_OK", result.error
        text: str = result.output["content"][0]["text"]
        return text

    async def tools(self, server: str = "") -> dict[str, ToolDescriptor]:
        """The tools that the broker knows."""
        found = (await self.agent.request("tool.list", {})).data["tools"]
        return {one.name: one for one in found if one.name.startswith(f"{server}:" * bool(server))}

    async def announced(self, name: str, *, there: bool = True) -> None:
        """Wait until the broker knows a tool, or knows it no more."""
        await self._until(name, there)

    async def _until(self, name: str, there: bool) -> None:
        count = 0
        while (name in await self.tools()) != there:
            count += 1
            await self.events.wait_for("tool.provider.*", count, timeout=PATIENCE)


GRANTED = {"grants": {"*": ["mcp", "mcp.resource", "mcp.prompt", "net"]}}
"""Everybody may call what servers offer: these tests are about the servers."""


@asynccontextmanager
async def open_house(
    folder: Path,
    *plugins: str,
    trusted: bool = True,
    settings: Any = None,
    grants: Any = None,
    **servers: Any,
) -> AsyncIterator[House]:
    """A runtime with *servers*; they are accepted as they are, unless not *trusted*."""
    own = {
        "mcp": {**QUICK, **(settings or {})},
        "tools": {"grants": grants} if grants is not None else GRANTED,
    }
    config = {"mcp": servers, "plugins": own}
    async with running(
        "tools", "sandbox", "mcp", *plugins, config=config, project=folder
    ) as runtime:
        house = House(runtime, folder)
        for name in servers if trusted else ():
            await house.trust(name)
        yield house


# -- processes --------------------------------------------------------------------------------


def new_mark() -> str:
    """A value by which a process and all that it starts are known."""
    return f"loom-test-{uuid.uuid4().hex}"


def marked(mark: str) -> list[int]:
    """The processes that carry *mark* in their environment or their command."""
    found = _processes("environ", "cmdline")
    return [pid for pid, words in found if mark.encode() in words]


def shown(mark: str) -> list[int]:
    """The processes whose command shows *mark* to everybody."""
    return [pid for pid, words in _processes("cmdline") if mark.encode() in words]


def _processes(*files: str) -> Iterator[tuple[int, bytes]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                words = b"".join((folder / file).read_bytes() for file in files)
            except OSError:
                continue
            yield int(folder.name), words


# -- Node -------------------------------------------------------------------------------------


def node_server(name: str) -> str:
    """A server of the packages in `node/`, installed as their lock file says, one at a time."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs npm and node (scripts/debian-packages.sh installs them)")
    with Path(tempfile.gettempdir(), f"loom-npm-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed, locked = NODE / "node_modules/.package-lock.json", NODE / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
            home = pwd.getpwuid(os.getuid()).pw_dir  # with the user's own settings and cache
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--prefer-offline"],
                cwd=NODE, env=os.environ | {"HOME": home}, capture_output=True, check=True,
            )  # fmt: skip
    return str(NODE / "node_modules/.bin" / name)
