"""Loom as a server: the official client lists and calls its tools over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from loom import ToolError, ToolProvider
from loom.contracts import ToolCall, ToolDescriptor, ToolHints
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, running
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

pytestmark = [pytest.mark.anyio, pytest.mark.feature("MCP-06")]

TEXT = {
    "type": "object", "required": ["text"], "additionalProperties": False,
    "properties": {"text": {"type": "string"}},
}  # fmt: skip
SERVED = {"serve": ["notes:add", "notes:fail"], "topics": ["notes.*"]}
LOOM = str(Path(sys.executable).with_name("loom"))


class Notes:
    """A provider of three tools, of which two are served."""

    def __init__(self, runtime: Runtime) -> None:
        self.calls: list[ToolCall] = []
        self.host = runtime.host("notes")
        self._provider = ToolProvider(self.host)
        for name in ("add", "fail", "secret"):
            hints = ToolHints(read_only=name == "secret", destructive=name == "add")
            described = ToolDescriptor(f"notes:{name}", f"To {name}", TEXT, hints=hints)
            self._provider.add(described, self._run)

    async def start(self) -> None:
        events = EventRecorder(self.host, "tool.provider.announced")
        await self._provider.start()
        await events.wait_for("tool.provider.announced")
        await self.host.request("tool.list", {})

    async def _run(self, call: ToolCall) -> Any:
        self.calls.append(call)
        if call.name == "notes:fail":
            raise ToolError(call.name, "ACTION_ERROR", "no room")
        return {"added": call.arguments["text"]}


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[tuple[Runtime, Notes]]:
    config = {"plugins": {"mcp": {**SERVED, **settings}}}
    plugins = ("tools", "sandbox", "control", "mcp")
    async with running(*plugins, config=config, state=folder) as runtime:
        notes = Notes(runtime)
        await notes.start()
        yield runtime, notes


def over_stdio(folder: Path) -> StdioServerParameters:
    arguments = ["mcp", "serve", "--as", "editor", "--state", str(folder)]
    return StdioServerParameters(command=LOOM, args=arguments)


async def address(runtime: Runtime) -> str:
    """Where HTTP is served, once it answers."""
    found = (await runtime.host("someone").request("mcp.server.list", {})).data["http"]
    return str(found)


async def check(client: Client, notes: Notes, caller: str) -> None:
    """What every client gets, over whatever carries it."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert sorted(tools) == ["notes__add", "notes__fail"]
    assert tools["notes__add"].input_schema == TEXT
    assert tools["notes__add"].title == "notes:add"
    hints = tools["notes__add"].annotations
    assert hints is not None
    assert hints.destructive_hint
    result = await client.call_tool("notes__add", {"text": "milk"})
    assert (result.is_error, result.structured_content) == (False, {"added": "milk"})
    assert notes.calls[-1].name == "notes:add"
    assert notes.calls[-1].caller == caller
    assert notes.calls[-1].reason.startswith("an MCP client")
    for name, arguments, said in (
        ("notes__add", {"wrong": 1}, "INVALID_PARAMS: "),
        ("notes__fail", {"text": ""}, "ACTION_ERROR: no room"),
        ("notes__secret", {"text": ""}, "CAPABILITY_ERROR: there is no tool"),
        ("notes:add", {"text": ""}, "CAPABILITY_ERROR: there is no tool"),
    ):
        failed = await client.call_tool(name, arguments)
        assert failed.is_error
        assert failed.content[0].type == "text"
        assert failed.content[0].text.startswith(said)
    await notes.host.publish("notes.added", {"text": "bread"})
    await notes.host.publish("other.added", {"text": "not this"})
    resources = (await client.list_resources()).resources
    assert [one.uri for one in resources] == ["loom://topic/notes.*"]
    (contents,) = (await client.read_resource("loom://topic/notes.*")).contents
    events = json.loads(getattr(contents, "text", ""))
    assert [(event["topic"], event["data"]) for event in events] == [
        ("notes.added", {"text": "bread"})
    ]
    with pytest.raises(MCPError, match="there is no resource"):
        await client.read_resource("loom://topic/other.*")


async def test_over_stdio(home: Path) -> None:
    async with serving(home) as (_, notes), Client(over_stdio(home)) as client:
        assert client.protocol_version == "2026-07-28"
        await check(client, notes, "mcp/client/editor")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_http(home: Path, mode: str) -> None:
    async with serving(home, http="127.0.0.1:0") as (runtime, notes):
        file = home / "plugins" / "mcp" / "token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        headers = {"Authorization": f"Bearer {await printed_token(home)}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
            transport = streamable_http_client(await address(runtime), http_client=http)
            async with Client(transport, mode=mode) as client:
                await check(client, notes, "mcp/client/http")


async def printed_token(folder: Path) -> str:
    """What `loom mcp token` prints."""
    process = await asyncio.create_subprocess_exec(
        LOOM, "mcp", "token", "--state", str(folder), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()


HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {},
               "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip


@pytest.mark.reliability("S8")
async def test_who_has_no_right_stays_outside(home: Path) -> None:
    async with serving(home, http="127.0.0.1:0") as (runtime, _):
        url = await address(runtime)
        token = (home / "plugins" / "mcp" / "token").read_text().strip()
        right = ("Authorization", f"Bearer {token}")
        accept = ("Accept", "application/json, text/event-stream")
        cases: list[tuple[int, str, list[tuple[str, str]]]] = [
            (200, "", [right]),
            (200, "", [right, ("Origin", url.removesuffix("/mcp"))]),
            (200, "", [("authorization", f"bearer {token}")]),
            (401, "", []),
            (401, f"?token={token}", []),
            (401, "", [("Authorization", "")]),
            (401, "", [("Authorization", "Bearer")]),
            (401, "", [("Authorization", f"Basic {token}")]),
            (401, "", [("Authorization", f"Bearer {token[:-1]}")]),
            (401, "", [("Authorization", f"Bearer {token}x")]),
            (401, "", [("Authorization", f"Bearer  {token}")]),
            (401, "", [right, right]),
            (403, "", [right, ("Origin", "http://evil.example")]),
            (403, "", [right, ("Origin", "null")]),
            (403, "", [right, ("Origin", "http://127.0.0.1:1")]),
            (403, "", [right, ("Host", "evil.example")]),
            (403, "", [right, ("Host", "127.0.0.1")]),
            (401, "", [("Authorization", "Bearer wrong")]),
            (429, "", [("Authorization", "Bearer wrong")]),
            (200, "", [right]),
        ]  # after ten wrong tokens whoever brings another one has to wait
        async with httpx2.AsyncClient(trust_env=False) as http:
            for status, query, headers in cases:
                response = await http.post(url + query, json=HELLO, headers=[accept, *headers])
                assert response.status_code == status, (headers, response.text)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"http": "192.0.2.1:80"}, "is not a loopback address"),
        ({"http": "example.org:80"}, "is not a loopback address"),
        ({"http": "8080"}, "write host:port"),
        ({"http": "127.0.0.1:99999"}, "write host:port"),
        ({"serve": ["a:b", "a__b"]}, "would both be 'a__b'"),
        ({"serve": ["a b"]}, "is no name of a tool"),
        ({"topics": ["a..b"]}, "'topics' in [plugins.mcp]"),
    ],
)
async def test_wrong_settings_are_named(settings: dict[str, Any], problem: str) -> None:
    config = {"plugins": {"mcp": settings}}
    async with running("tools", "sandbox", "mcp", config=config, strict=False) as runtime:
        assert problem in runtime.quarantined["mcp"].reason


async def test_without_a_running_loom_it_says_so(home: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        LOOM, "mcp", "serve", "--state", str(home), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 4
    assert b"no Loom runs on" in said
