"""The WebSocket carrier: what a person writes by hand, who is refused, and what is bounded."""

from __future__ import annotations

import asyncio
import json
import stat
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from loom.bridge import Address, Carrier, Disconnected, ProtocolError, Refused, connect, messages
from loom.bridge.carriers.websocket import connect as dial
from loom.bridge.messages import ClientFrame, Failure, Hello, Publish, ServerFrame, Welcome
from loom_kernel import ConfigError, LoomError
from loom_kernel.testing import running, wait_until
from loom_plugin_bridge.carriers.websocket import (
    FIRST_FRAME,
    GREETING,
    LONGEST_REQUEST,
    WebSocketListener,
    WebSocketSettings,
)
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from plugins.bridge.tests.conftest import QUICK, Site
from plugins.bridge.tests.test_session import listening

pytestmark = pytest.mark.anyio
URI = "ws://localhost/bridge"
ORIGIN = "http://127.0.0.1:8080"


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
        asking = asyncio.get_running_loop().create_task(site.host.request("question", {"n": 1}))
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
            words = asyncio.get_running_loop().create_task(last_words(script))
        assert await words == (1001, "UNAVAILABLE: this Loom is stopping")
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


# -- TCP --------------------------------------------------------------------------------------


class Speaker:
    """A `Peer` that says what is put into it and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.reasons: list[str] = []
        self.frames: deque[Any] = deque()
        self.carrier: Carrier | None = None

    def say(self, frame: Any) -> None:
        self.frames.append(frame)
        if self.carrier is not None:
            self.carrier.wake()

    def received(self, frame: Any) -> None:
        self.heard.append(frame)

    def failed(self, error: ProtocolError) -> None:
        self.frames.append(ServerFrame(messages=[Failure(error.code, error.message, fatal=True)]))

    def take(self) -> Any:
        return self.frames.popleft() if self.frames else None

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)


class Doorman:
    """Answers each connection with a `Speaker`, and keeps who asked."""

    def __init__(self) -> None:
        self.speakers: list[Speaker] = []
        self.origins: list[str] = []

    def answer(self, carrier: Carrier, origin: str, token: str = "") -> Speaker:
        speaker = Speaker()
        speaker.carrier = carrier
        self.speakers.append(speaker)
        self.origins.append(origin)
        return speaker


@asynccontextmanager
async def at(
    **settings: Any,
) -> AsyncIterator[tuple[WebSocketListener, Doorman]]:
    doorman = Doorman()
    listener = WebSocketListener(doorman, WebSocketSettings(**settings))
    await listener.start()
    try:
        yield listener, doorman
    finally:
        await listener.aclose()


@asynccontextmanager
async def pair(doorman: Doorman, where: Address, **options: Any) -> AsyncIterator[list[Speaker]]:
    """Both ends of one connection."""
    near = Speaker()
    carrier = await dial(where, near, **options)
    near.carrier = carrier
    await wait_until(lambda: bool(doorman.speakers))
    try:
        yield [near, doorman.speakers[-1]]
    finally:
        carrier.close()
        await carrier.wait_closed()


WELCOME = ServerFrame(messages=[Welcome("s", "k", 1, "planner")])
HELLO = ClientFrame(messages=[Hello("secret", "planner")])


async def test_tcp_on_loopback() -> None:
    async with at(tcp="127.0.0.1:0") as (listener, doorman):
        async with pair(doorman, Address("ws", host="127.0.0.1", port=listener.port)) as (
            near,
            far,
        ):
            near.say(HELLO)
            far.say(WELCOME)
            await wait_until(lambda: far.heard == [HELLO] and near.heard == [WELCOME])
        assert doorman.origins == ["127.0.0.1"]
        await wait_until(lambda: far.reasons == ["closed with 1000"])


@pytest.mark.reliability("S9")
async def test_a_page_of_a_listed_origin_is_let_in() -> None:
    from websockets.asyncio.client import connect as open_page

    async with at(tcp="127.0.0.1:0", origins=(ORIGIN,)) as (listener, doorman):
        uri = f"ws://127.0.0.1:{listener.port}/bridge"
        async with open_page(uri, origin=ORIGIN, proxy=None, compression=None):  # type: ignore[arg-type]  # a NewType of str
            await wait_until(lambda: len(doorman.speakers) == 1)
        with pytest.raises(InvalidStatus):
            async with open_page(uri, origin=f"{ORIGIN}1", proxy=None):  # type: ignore[arg-type]  # the same
                pass


async def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    key, chain, roots = (tmp_path / name for name in ("key.pem", "chain.pem", "roots.pem"))
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(chain)
    authority.cert_pem.write_to_path(roots)
    async with at(tcp="localhost:0", certificate=chain, key=key) as (listener, doorman):
        where = Address("wss", host="localhost", port=listener.port)
        async with pair(doorman, where, ca_file=str(roots)) as (near, far):
            near.say(HELLO)
            await wait_until(lambda: far.heard == [HELLO])
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await dial(where, Speaker())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"tcp": "7451"}, "no host:port"),
        ({"tcp": "0.0.0.0:0"}, "set public = true too"),
        ({"tcp": "0.0.0.0:0", "public": True}, "needs tls_certificate"),
        ({"tcp": "127.0.0.1:0", "key": Path("x")}, "go together"),
        ({"tcp": "127.0.0.1:0", "key": Path("x"), "certificate": Path("y")}, "cannot be used"),
    ],
)
async def test_what_does_not_fit_together_is_refused(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        async with at(**settings):
            pass


async def test_an_address_in_use_is_named() -> None:
    async with at(tcp="127.0.0.1:0") as (listener, _):
        with pytest.raises(LoomError, match="cannot listen on"):
            async with at(tcp=f"127.0.0.1:{listener.port}"):
                pass


async def test_a_token_never_travels_in_clear_text_to_another_machine() -> None:
    with pytest.raises(LoomError, match="use wss"):
        await dial(Address("ws", host="example.org", port=1), Speaker())


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ("302 Found\r\nLocation: ws://127.0.0.1:1/", Disconnected, "answers with 302"),
        ("403 Forbidden\r\nContent-Length: 7", Refused, "PERMISSION_DENIED.*403: not you"),
        ("nonsense", Disconnected, "UNAVAILABLE"),
    ],
)
async def test_somebody_else_is_there(
    home: Path, answer: str, error: type[LoomError], reason: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}\r\n\r\nnot you".encode())
        writer.close()

    server = await asyncio.start_unix_server(serve, home / "other.sock")
    with pytest.raises(error, match=reason):
        await dial(Address("ws+unix", path=str(home / "other.sock")), Speaker())
    server.close()
    await server.wait_closed()


async def test_nobody_is_there(home: Path) -> None:
    with pytest.raises(Disconnected, match="nobody listens"):
        async with connect(f"ws+unix://{home / 'no.sock'}", token="x"):
            pass


# -- flow -------------------------------------------------------------------------------------


async def test_a_paused_end_is_felt_by_the_other_and_nothing_is_lost(home: Path) -> None:
    path = home / "s"
    path.mkdir(mode=0o700)
    async with at(path=path / "websocket.sock") as (_, doorman):
        where = Address("ws+unix", path=str(path / "websocket.sock"))
        async with pair(doorman, where) as (near, far):
            assert near.carrier is not None
            near.carrier.pause()
            frames = [
                ServerFrame(n, 0, [messages.Failure("INTERNAL", "x" * 50_000)])
                for n in range(1, 101)
            ]
            far.frames.extend(frames)
            assert far.carrier is not None
            far.carrier.limit = 1 << 20
            far.carrier.wake()
            await wait_until(lambda: len(far.frames) < 100)
            left = -1
            while left != len(far.frames):  # until the line holds no more
                left = len(far.frames)
                for _ in range(50):
                    await asyncio.sleep(0)
            assert left > 50
            assert near.heard == []
            near.carrier.resume()
            await wait_until(lambda: len(near.heard) == 100)
            assert near.heard == frames


async def test_what_gathers_while_a_frame_is_written_goes_with_the_next(site: Site) -> None:
    client = await site.join("quick")
    for number in range(1000):
        await client.publish("many", number)
    await site.told("many", count=1000)
    assert [event.data for event in site.events.on("many")] == list(range(1000))


async def test_a_message_that_is_too_long_for_a_frame_is_told(home: Path) -> None:
    path = home / "s"
    path.mkdir(mode=0o700)
    async with at(path=path / "websocket.sock") as (_, doorman):
        near = Speaker()
        carrier = await dial(Address("ws+unix", path=str(path / "websocket.sock")), near)
        carrier.limit = 1000
        near.frames.append(ClientFrame(1, 0, [Publish("a", b'"' + b"x" * 2000 + b'"')]))
        carrier.wake()
        await carrier.wait_closed()
        await wait_until(lambda: bool(doorman.speakers[-1].reasons))
