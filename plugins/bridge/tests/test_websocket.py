"""The WebSocket carrier: what a person writes by hand, who is refused, and what is bounded."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from loom_kernel.testing import running
from loom_plugin_bridge.carriers.websocket import (
    FIRST_FRAME,
    GREETING,
    LONGEST_REQUEST,
)
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from plugins.bridge.tests.conftest import QUICK, Site
from plugins.bridge.tests.test_session import listening

pytestmark = pytest.mark.anyio
URI = "ws://localhost/bridge"
UPGRADE = (
    "GET /bridge HTTP/1.1",
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "",
    "",
)


@pytest.fixture
def carrier() -> str:
    return "websocket"


@asynccontextmanager
async def page(site: Site, uri: str = URI, **options: Any) -> AsyncIterator[ClientConnection]:
    """A connection of somebody who has no SDK."""
    options.setdefault("compression", None)
    async with unix_connect(str(site.socket), uri, proxy=None, **options) as connection:
        yield connection


async def say(connection: ClientConnection, *said: dict[str, Any], **frame: Any) -> None:
    await connection.send(json.dumps({**frame, "messages": said}))


async def hear(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of that kind."""
    (message,) = await hear_all(connection, kind, 1)
    return message


async def hear_all(connection: ClientConnection, kind: str, count: int) -> list[dict[str, Any]]:
    """The next so many."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            told = json.loads(await connection.recv()).get("messages", [])
            found += [message for message in told if message["kind"] == kind]
    return found


async def last_words(connection: ClientConnection) -> tuple[int, str]:
    """The code and reason with which the server closes."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await connection.recv()
    return connection.close_code or 0, connection.close_reason or ""


# -- by hand ----------------------------------------------------------------------------------


@pytest.mark.feature("BRG-07")
async def test_a_script_without_any_sdk_joins_and_takes_part(site: Site) -> None:
    async with page(site) as script:
        await say(script, {"kind": "hello", "token": site.token, "agent": "script"})
        welcome = await hear(script, "welcome")
        assert (welcome["name"], welcome["epoch"]) == ("script", 1)
        await say(script, {"kind": "subscribe", "sub": 0, "patterns": ["question"]})
        await listening(site, "question")
        asking = site.host.spawn(site.host.request("question", {"n": 1}), "asking")
        delivered = await hear(script, "deliver")
        event = delivered["event"]
        assert (event["topic"], event["data"], event["sender"]) == ("question", {"n": 1}, "outside")
        await say(
            script,
            {"kind": "publish", "topic": event["reply_to"], "data": {"n": 2},
             "cause": delivered["number"]},
            {"kind": "ack", "ranges": [[delivered["number"], delivered["number"]]]},
        )  # fmt: skip
        reply = await asking
        assert (reply.data, reply.sender, reply.causation_id) == ({"n": 2}, "script", event["id"])
        await say(script, {"kind": "publish", "topic": "picture", "data_base64": "AP8Q"})
        assert (await site.told("picture")).data == b"\0\xff\x10"
        assert site.record("script").handled == 1


@pytest.mark.feature("ENV-01")
async def test_an_event_is_the_json_object_of_the_reference(site: Site) -> None:
    async with page(site) as script:
        await say(script, {"kind": "hello", "token": site.token, "colour": "unknown names pass"})
        await say(script, {"kind": "subscribe", "sub": 1, "patterns": ["same"], "window": 0})
        await listening(site, "same")
        await site.host.publish(
            "same", {"a": [1.50]}, "kind", subject="s", tags=["x"], labels=["b", "a"],
            budget={"usd": 2.0}, metadata={"k": "v"},
        )  # fmt: skip
        await site.host.publish("same", b"\0")
        told = await hear_all(script, "deliver", 2)
        await site.told("same", count=2)
        assert [one["event"] for one in told] == [
            json.loads(event.to_json()) for event in site.events.on("same")
        ]
        assert told[0].keys() == {"kind", "sub", "event"}


async def test_tools_take_and_give_plain_values(site: Site) -> None:
    async with page(site) as script:
        await say(script, {"kind": "hello", "token": site.token, "agent": "script"})
        tool = {"name": "script.add", "description": "Adds.", "parameters": {"type": "object"}}
        await say(script, {"kind": "offer", "tools": [tool]})
        await site.told("tool.provider.announced")
        call = {"name": "script.add", "arguments": {"a": [1, 2]}}
        await say(script, {"kind": "call", "ref": 9, "call": call})
        asked = await hear(script, "call")
        assert asked["call"]["arguments"] == {"a": [1, 2]}
        result = {"id": asked["call"]["id"], "output": {"sum": 3}}
        await say(script, {"kind": "result", "ref": asked["ref"], "result": result})
        answer = await hear(script, "result")
        assert (answer["ref"], answer["result"]["output"]) == (9, {"sum": 3})


async def test_a_token_may_come_with_the_headers(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.token}"}
    async with page(site, additional_headers=headers, subprotocols=["loom.v1"]) as script:
        assert script.subprotocol == "loom.v1"
        await say(script, {"kind": "hello"})
        assert (await hear(script, "welcome"))["session"]


# -- refusals ---------------------------------------------------------------------------------


async def refusal(site: Site, uri: str = URI, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        async with page(site, uri, **options):
            pass
    return refused.value.response.status_code, refused.value.response.body.decode()


@pytest.mark.reliability("S9")
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7451", "127.0.0.1.evil.example", ""]
)
async def test_a_rebound_name_is_refused(site: Site, host: str) -> None:
    reader, writer = await asyncio.open_unix_connection(site.socket)
    writer.write(f"GET /bridge HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()


@pytest.mark.reliability("S9")
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
async def test_a_page_of_another_origin_is_refused(site: Site, origin: str) -> None:
    status, reason = await refusal(site, additional_headers={"Origin": origin})
    assert (status, "Origin" in reason) == (403, True)


@pytest.mark.parametrize("path", ["/", "/bridge/", "/bridge/x", "/metrics", "//bridge"])
async def test_there_is_one_path(site: Site, path: str) -> None:
    assert (await refusal(site, f"ws://localhost{path}"))[0] == 404


@pytest.mark.reliability("S9")
async def test_a_token_in_the_address_is_refused_and_explained(site: Site) -> None:
    status, reason = await refusal(site, f"{URI}?token={site.token}")
    assert status == 400
    assert "hello message" in reason
    assert site.token not in reason


@pytest.mark.reliability("S9")
@pytest.mark.parametrize(
    "request_line",
    [
        "GET /bridge HTTP/1.1",
        "POST /bridge HTTP/1.1",
        "OPTIONS /bridge HTTP/1.1",
        "GET /bridge HTTP/1.0",
        "GET http://localhost/bridge HTTP/1.1",
        "CONNECT localhost:1 HTTP/1.1",
    ],
)
async def test_what_is_no_websocket_gets_nothing(site: Site, request_line: str) -> None:
    """What a page can send without being asked: fetch, forms, EventSource."""
    reader, writer = await asyncio.open_unix_connection(site.socket)
    body = f'{{"messages":[{{"kind":"hello","token":"{site.token}"}}]}}'
    head = f"Host: localhost\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}"
    writer.write(f"{request_line}\r\n{head}\r\n\r\n{body}".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert not answer or int(answer.split()[1]) in range(400, 500), answer
    assert b"Access-Control" not in answer
    assert b"Server:" not in answer


@pytest.mark.reliability("S15")
async def test_noise_is_survived(site: Site) -> None:
    random = Random(11)
    hello = "\r\n".join(UPGRADE).encode()
    for number in range(100):
        reader, writer = await asyncio.open_unix_connection(site.socket)
        noise = random.randbytes(random.randrange(1, 2000))
        writer.write(hello + noise if number % 2 else noise)
        writer.write_eof()
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
    async with page(site) as script:
        await say(script, {"kind": "hello", "token": site.token})
        assert await hear(script, "welcome")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"kind": "hello", "token": "loom_wrong"}, "UNAUTHENTICATED"),
        ({"kind": "hello"}, "UNAUTHENTICATED"),
        ({"kind": "bye"}, "INVALID_ARGUMENT"),
        ({"kind": "hell"}, "INVALID_ARGUMENT: not a client's frame"),
        ({"kind": "hello", "seen": "x"}, "INVALID_ARGUMENT: not a client's frame"),
    ],
)
async def test_a_wrong_first_message_is_answered_and_the_line_closed(
    site: Site, said: dict[str, Any], reason: str
) -> None:
    async with page(site) as script:
        await say(script, said)
        failure = await hear(script, "failure")
        assert failure["fatal"]
        code, words = await last_words(script)
        assert (code, words.startswith(reason)) == (1008, True), words


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"messages":{}}', "[" * 30_000, b"\xff"])
async def test_what_is_no_frame_is_answered_and_the_line_closed(
    site: Site, text: str | bytes
) -> None:
    async with page(site) as script:
        await script.send(text, text=True)
        assert (await hear(script, "failure"))["code"] == "INVALID_ARGUMENT"
        assert (await last_words(script))[0] == 1008


async def test_silence_is_answered_and_the_line_closed(site: Site) -> None:
    async with page(site) as script:
        assert (await hear(script, "failure"))["code"] == "DEADLINE_EXCEEDED"
        assert (await last_words(script))[0] == 1008


@pytest.mark.reliability("S15")
async def test_a_frame_that_is_too_long_closes_the_line(site: Site) -> None:
    async with page(site) as script:
        await script.send(" " * (FIRST_FRAME + 1))
        assert (await last_words(script))[0] == 1009
    async with page(site) as script:  # in small pieces too, which never end
        with suppress(ConnectionClosed):
            await script.send(" " * 1000 for _ in range(FIRST_FRAME // 1000 + 1))
        assert (await last_words(script))[0] == 1009


async def test_frames_may_be_longer_once_the_session_is_open(site: Site) -> None:
    async with page(site) as script:
        await say(script, {"kind": "hello", "token": site.token})
        await hear(script, "welcome")
        await say(script, {"kind": "publish", "topic": "long", "data": "x" * 3 * FIRST_FRAME})
        assert len((await site.told("long")).data) == 3 * FIRST_FRAME


@pytest.mark.reliability("S15")
async def test_a_request_that_does_not_end_is_bounded(site: Site) -> None:
    reader, writer = await asyncio.open_unix_connection(site.socket)
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    writer.write(b"GET /bridge HTTP/1.1\r\n" + line * (LONGEST_REQUEST // len(line) + 1))
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.reliability("S15")
async def test_who_is_slow_to_ask_is_cut_and_only_so_many_may_be(site: Site) -> None:
    lines = [await asyncio.open_unix_connection(site.socket) for _ in range(GREETING)]
    late, writer = await asyncio.open_unix_connection(site.socket)
    async with asyncio.timeout(5):
        assert await late.read() == b""  # at once, the others have their time
        writer.close()
        for reader, slow in lines:
            assert await reader.read() == b""
            slow.close()
    async with page(site) as script:
        await say(script, {"kind": "hello", "token": site.token})
        assert await hear(script, "welcome")


async def test_a_runtime_that_stops_says_so(home: Path) -> None:
    settings = {"plugins": {"bridge": QUICK}}
    async with AsyncExitStack() as stack:
        async with running("agents", "tools", "bridge", config=settings) as runtime:
            site = Site(runtime, stack, home, "websocket")
            script = await stack.enter_async_context(page(site))
            await say(script, {"kind": "hello", "token": site.token})
            await hear(script, "welcome")
        assert await last_words(script) == (1001, "UNAVAILABLE: this Loom is stopping")
        assert not site.socket.exists()


async def test_the_socket_is_its_owners_alone(site: Site) -> None:
    assert stat.S_IMODE(site.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.folder.stat().st_mode) == 0o700


async def test_a_payload_that_is_no_json_costs_one_event_and_not_the_session(site: Site) -> None:
    from loom_kernel import Encoded

    client = await site.join("careless")
    await client.publish("broken", Encoded(b'{"a":'))
    await client.publish("fine", 1)
    await site.told("fine")
    assert site.events.on("broken") == []


async def test_what_gathers_while_a_frame_is_written_goes_with_the_next(site: Site) -> None:
    client = await site.join("quick")
    for number in range(1000):
        await client.publish("many", number)
    await site.told("many", count=1000)
    assert [event.data for event in site.events.on("many")] == list(range(1000))
