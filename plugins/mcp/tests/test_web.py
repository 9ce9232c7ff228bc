"""Servers over streamable HTTP and over server-sent events, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom_kernel.testing import wait_until

from plugins.mcp.tests.house import PATIENCE, open_house

pytestmark = [pytest.mark.anyio, pytest.mark.feature("MCP-05")]

OFFICIAL = Path(__file__).with_name("official.py")
WAYS = [
    ("streamable-http", "auto", "2026-07-28"),
    ("streamable-http", "2025-11-25", "2025-11-25"),
    ("sse", "auto", "2026-07-28"),
    ("sse", "2025-11-25", "2025-11-25"),
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The official server over each way, as a process of this module; and where it listens."""
    found = {way: free_port() for way in ("streamable-http", "sse")}
    started = [
        subprocess.Popen([sys.executable, OFFICIAL, way, str(port)], stderr=subprocess.PIPE)
        for way, port in found.items()
    ]
    for one in started:
        assert one.stderr is not None
        while b"running on" not in one.stderr.readline():
            assert one.poll() is None
    yield found
    for one in started:
        one.kill()
        one.communicate()


@asynccontextmanager
async def official(way: str, port: int) -> AsyncIterator[None]:
    """The official server as a process that listens on *port*."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(OFFICIAL), way, str(port), stderr=subprocess.DEVNULL
    )
    try:
        await wait_until(lambda: answers(port), timeout=PATIENCE)
        yield
    finally:
        process.kill()
        await process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def table(way: str, port: int, **more: Any) -> dict[str, Any]:
    path, transport = ("sse", "sse") if way == "sse" else ("mcp", "http")
    url = f"http://127.0.0.1:{port}/{path}"
    return {"url": url, "transport": transport, "timeout": PATIENCE, **more}


@pytest.mark.feature("X-12")
@pytest.mark.parametrize(("way", "protocol", "spoken"), WAYS)
async def test_tools_resources_and_prompts_over_http(
    tmp_path: Path, ports: dict[str, int], way: str, protocol: str, spoken: str
) -> None:
    server = table(way, ports[way], protocol=protocol)
    async with open_house(tmp_path, web=server) as house:
        assert (await house.server("web"))["protocol"] == spoken
        result = await house.call("web:add", a=2, b=3)
        assert result.output["structured"] == {"result": 5}
        read = await house.ask("mcp.resource.read", house.agent, server="web", uri="memo://one")
        assert read["contents"][0]["text"] == "one"
        said = await house.ask(
            "mcp.prompt.get", house.agent, server="web", name="hello", arguments={"who": "Ada"}
        )
        assert said["messages"][0]["content"]["text"] == "Say hello to Ada."
        wrong = await house.call("web:greet")  # nobody may be asked
        assert wrong.code == "ACTION_ERROR"


@pytest.mark.feature("MCP-04")
@pytest.mark.parametrize("way", ["streamable-http", "sse"])
async def test_a_server_that_is_gone_is_found_again(tmp_path: Path, way: str) -> None:
    port = free_port()
    settings = {"max_restarts": 1_000}
    server = table(way, port, timeout=2.0)
    async with open_house(tmp_path, trusted=False, settings=settings, web=server) as house:
        async with official(way, port):
            await house.trust("web")
            assert (await house.call("web:add", a=1, b=1)).code == "ACTION_OK"
        lost = await house.call("web:add", a=1, b=1)
        assert lost.code in ("OUTCOME_UNKNOWN", "CAPABILITY_ERROR", "PROVIDER_UNAVAILABLE")
        await house.state("web", "restarting")
        async with official(way, port):
            await house.state("web", "running")
            await house.announced("web:add")
            assert (await house.call("web:add", a=1, b=1)).code == "ACTION_OK"


@pytest.mark.feature("MCP-04")
async def test_a_session_that_the_server_has_forgotten_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    server = table("streamable-http", port, protocol="2025-11-25")
    async with open_house(tmp_path, trusted=False, web=server) as house:
        async with official("streamable-http", port):
            await house.trust("web")
            states = len(house.events.on("mcp.web.state"))
        async with official("streamable-http", port):  # another one, which nobody has told us
            async with asyncio.timeout(PATIENCE):
                while len(house.events.on("mcp.web.state")) == states:
                    await house.call("web:add", a=1, b=1)
            await house.state("web", "running")
            await house.announced("web:add")
            assert (await house.call("web:add", a=1, b=1)).code == "ACTION_OK"


@pytest.mark.parametrize("way", ["streamable-http", "sse"])
async def test_answers_over_http_are_bounded(
    tmp_path: Path, ports: dict[str, int], way: str
) -> None:
    settings = {"max_message": 200_000, "max_restarts": 1_000}
    server = table(way, ports[way])
    async with open_house(tmp_path, settings=settings, web=server) as house:
        assert (await house.call("web:large", size=10_000)).code == "ACTION_OK"
        assert (await house.call("web:large", size=3_000_000)).code != "ACTION_OK"
        await house.state("web", "running")
        await house.announced("web:add")
        assert (await house.call("web:add", a=1, b=1)).code == "ACTION_OK"


@pytest.mark.reliability("S12")
async def test_a_redirect_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    reached: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(65_536)
        reached.append(request.split(b" ")[1])
        elsewhere = f"http://127.0.0.2:{port}/latest/meta-data"
        writer.write(
            f"HTTP/1.1 307 Go\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        writer.close()

    port = free_port()
    async with await asyncio.start_server(redirect, "127.0.0.1", port):
        servers = {"web": table("streamable-http", port)}
        async with open_house(tmp_path, trusted=False, **servers) as house:
            found = await house.ask("mcp.server.inspect", server="web")
            assert found["code"] == "ACTION_ERROR"
    assert set(reached) == {b"/mcp"}


async def test_headers_are_sent_and_a_token_is_needed_by_name_only(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", port := free_port()):
        server = table("streamable-http", port, headers={"X-Key": "secret"})
        async with open_house(tmp_path, trusted=False, web=server) as house:
            shown = await house.ask("mcp.server.launch", server="web")
            assert not seen
            assert "secret" not in str(shown)
            assert "sends the headers X-Key" in str(shown)
            await house.ask("mcp.server.inspect", server="web")
    assert b"x-key: secret" in seen[0].lower()
