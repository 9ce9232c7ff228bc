"""The WebSocket carrier, both ends: TCP, TLS, strangers, and back-pressure."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from loom.bridge import Address, Carrier, Disconnected, ProtocolError, Refused, connect, messages
from loom.bridge.carriers.websocket import connect as dial
from loom.bridge.messages import ClientFrame, Failure, Hello, Publish, ServerFrame, Welcome
from loom_kernel import ConfigError, LoomError
from loom_kernel.testing import wait_until
from loom_plugin_bridge.carriers.websocket import WebSocketListener, WebSocketSettings
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.anyio
ORIGIN = "http://127.0.0.1:8080"


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
        ({"tcp": "192.0.2.1:0"}, "set public = true too"),
        ({"tcp": "192.0.2.1:0", "public": True}, "needs tls_certificate"),
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


async def test_a_message_that_is_too_long_for_a_frame_keeps_its_number(home: Path) -> None:
    """Something short takes its place, so that what follows is understood."""
    path = home / "s" / "websocket.sock"
    path.parent.mkdir(mode=0o700)
    where = Address("ws+unix", path=str(path))
    async with at(path=path) as (_, doorman), pair(doorman, where) as (near, far):
        assert near.carrier is not None
        near.carrier.limit = 1000
        long, short = Publish("a", b'"' + b"x" * 2000 + b'"'), Publish("b", b"1")
        near.say(ClientFrame(1, 0, [long, short]))
        await wait_until(lambda: sum(len(frame.messages) for frame in far.heard) == 2)
        assert far.heard[-1].messages[-1] == short
        assert far.heard[0].messages[0] != long
