"""The gRPC carrier, both ends: real sockets, real gRPC, and peers that say what they are told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from loom.bridge import Address, Disconnected
from loom.bridge.carriers.grpc import (
    METHOD,
    PACKED,
    connect,
    decode_server,
    encode_client,
    is_packed,
)
from loom.bridge.messages import (
    Bye,
    Cancel,
    ClientFrame,
    Deliver,
    Failure,
    Hello,
    Publish,
    ServerFrame,
    Taken,
    Welcome,
)
from loom_kernel import Host
from loom_kernel.testing import running, wait_until

from plugins.bridge.tests.grpc_site import MAX_FRAME, WELCOME, Site, Speaker, end, event, opened


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running() as runtime:
        yield runtime.host("bridge")


@pytest.fixture
def folder(home: Path) -> Path:
    made = home / "bridge"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
async def site(host: Host, folder: Path) -> AsyncIterator[Site]:
    async with opened(Site(host, folder)) as site:
        yield site


@pytest.mark.anyio
@pytest.mark.feature("BRG-02")
async def test_frames_go_both_ways(site: Site) -> None:
    client, carrier = await site.dial(token="from the headers")
    (server,) = site.doorman.speakers
    server.say(ServerFrame(1, 0, [Deliver(1, event(200))]))
    client.say(ClientFrame(1, 1, [Publish("a.b", b"1")]))
    await wait_until(lambda: len(client.heard) == 2 and len(server.heard) == 2)
    assert server.heard[1] == ClientFrame(1, 1, [Publish("a.b", b"1")])
    assert client.heard[1].messages[0].event.payload == event(200).payload
    assert site.doorman.tokens == ["from the headers"]
    assert site.doorman.origins == ["unix"]
    await end(carrier)


@pytest.mark.anyio
async def test_two_python_ends_pack_their_frames(site: Site) -> None:
    client, carrier = await site.dial()
    bodies: list[bytes] = []
    line, decode = site.doorman.speakers[0].carrier, carrier._decode

    def watched(body: bytes) -> Any:
        bodies.append(body)
        return decode(body)

    carrier._decode = watched
    assert line is not None
    site.doorman.speakers[0].say(ServerFrame(1, 0, [Taken(1, 1)]))
    await wait_until(lambda: len(client.heard) == 2)
    assert [is_packed(body) for body in bodies] == [True]
    assert is_packed(carrier.encode(ClientFrame()))
    await end(carrier)


@pytest.mark.anyio
async def test_what_is_written_slowly_gathers(site: Site) -> None:
    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    waiting: deque[Deliver] = deque(Deliver(1, event(1000, n), n) for n in range(1, 5001))
    sizes: list[int] = []

    def take() -> ServerFrame | None:
        sizes.append(min(256, len(waiting)))
        batch = [waiting.popleft() for _ in range(sizes[-1])]
        return ServerFrame(0, 0, batch) if batch else None  # type: ignore[arg-type]  # of one kind

    server.take = take  # type: ignore[method-assign]  # this one has thousands to say
    assert server.carrier is not None
    server.carrier.limit = 4 << 20
    server.carrier.wake()
    await wait_until(lambda: sum(len(frame.messages) for frame in client.heard[1:]) == 5000)
    numbers = [m.number for frame in client.heard[1:] for m in frame.messages]
    assert numbers == list(range(1, 5001))
    await end(carrier)


@pytest.mark.anyio
async def test_a_frame_that_is_too_long_is_sent_as_several(site: Site) -> None:
    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    batch: list[Any] = [Deliver(1, event(1000, n), n) for n in range(1, 257)]
    server.say(ServerFrame(1, 0, batch))
    await wait_until(lambda: sum(len(frame.messages) for frame in client.heard[1:]) == 256)
    assert [frame.first for frame in client.heard[1:]] == [1, 129]
    await end(carrier)


@pytest.mark.anyio
async def test_an_end_that_pauses_is_not_written_to(site: Site) -> None:
    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    assert server.carrier is not None
    server.carrier.pause()
    payload = b'"' + b"x" * 100_000 + b'"'
    for number in range(1, 101):
        client.say(ClientFrame(number, 0, [Publish("a", payload)]))
    await wait_until(lambda: len(client.frames) < 100)
    left = -1
    while left != len(client.frames):  # until the writer stands still
        left = len(client.frames)
        for _ in range(50):
            await asyncio.sleep(0)
    assert client.frames
    assert len(server.heard) == 1
    server.carrier.resume()
    await wait_until(lambda: len(server.heard) == 101)
    assert [frame.first for frame in server.heard[1:]] == list(range(1, 101))
    await end(carrier)


@pytest.mark.anyio
@pytest.mark.feature("BRG-02")
async def test_what_was_said_before_the_end_arrives(site: Site) -> None:
    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    for number in range(1, 51):
        client.say(ClientFrame(number, 0, [Publish("a", b"1")]))
    client.say(ClientFrame(51, 0, [Bye()]))
    carrier.close()
    await carrier.wait_closed()
    assert len(server.heard) == 52
    assert client.reasons == []
    assert server.reasons == ["the other end closed the stream"]


@pytest.mark.anyio
async def test_an_end_that_does_not_read_is_left_in_the_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loom.bridge.carriers.grpc.FAREWELL", 0.1)
    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    assert server.carrier is not None
    server.carrier.pause()
    payload = b'"' + b"x" * 100_000 + b'"'
    for number in range(1, 101):
        client.say(ClientFrame(number, 0, [Publish("a", payload)]))
    carrier.close()
    await carrier.wait_closed()
    server.carrier.resume()
    await wait_until(lambda: bool(server.reasons))


@pytest.mark.anyio
async def test_a_server_that_closes_tells_its_client_once(site: Site) -> None:
    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    server.say(ServerFrame(1, 0, [Taken(1, 1)]))
    assert server.carrier is not None
    server.carrier.close()
    await carrier.wait_closed()
    assert [type(frame.messages[0]) for frame in client.heard] == [Welcome, Taken]
    assert client.reasons == ["the other end closed the stream"]
    assert server.reasons == []


@pytest.mark.anyio
async def test_a_client_that_vanishes_is_lost(site: Site) -> None:
    _, carrier = await site.dial()
    (server,) = site.doorman.speakers
    await end(carrier)
    await wait_until(lambda: len(server.reasons) == 1)


@pytest.mark.anyio
async def test_a_listener_that_ends_ends_its_connections(host: Host, folder: Path) -> None:
    site = Site(host, folder)
    await site.listener.start()
    client, carrier = await site.dial()
    site.doorman.speakers[0].carrier.close()  # type: ignore[union-attr]  # it was answered
    await site.listener.aclose()
    await carrier.wait_closed()
    assert client.reasons
    assert not site.path.exists()


# -- what bad input gets ----------------------------------------------------------------------


@asynccontextmanager
async def raw(site: Site, *metadata: tuple[str, str]) -> AsyncIterator[Any]:
    """A stream of somebody who knows gRPC, and little else."""
    async with grpc.aio.insecure_channel(site.target) as channel:
        yield channel.stream_stream(METHOD)(metadata=metadata)


async def ending(call: Any) -> tuple[str, Failure]:
    """The code with which *call* ends, and the failure that was said last."""
    frames = []
    with suppress(grpc.aio.AioRpcError):
        while (body := await call.read()) is not grpc.aio.EOF:
            frames.append(decode_server(body))
    last = frames[-1].messages[-1]
    assert isinstance(last, Failure)
    return (await call.code()).name, last


@pytest.mark.anyio
@pytest.mark.feature("BRG-06")
async def test_a_naive_client_that_waits_first_gets_an_error(site: Site) -> None:
    async with raw(site) as call:
        async with asyncio.timeout(5):
            await call.wait_for_connection()  # the headers, though nothing was sent
            code, failure = await ending(call)
    assert code == failure.code == "DEADLINE_EXCEEDED"


@pytest.mark.anyio
@pytest.mark.feature("BRG-06")
@pytest.mark.parametrize("is_refused", [False, True])
async def test_who_says_all_at_once_and_then_listens_is_answered(
    site: Site, is_refused: bool
) -> None:
    """Its half of the stream is over while the answer is on its way: that cuts no answer off."""
    answer = [ServerFrame(number, 0, [Deliver(1, event(100_000))]) for number in range(1, 21)]
    end_of_it = ServerFrame(messages=[Failure("NOT_FOUND", "no", fatal=True)])
    site.doorman.words = [WELCOME, *answer, *([end_of_it] if is_refused else [])]
    async with raw(site) as call:
        await call.write(encode_client(ClientFrame(messages=[Hello()])))
        await call.done_writing()
        await wait_until(lambda: bool(site.doorman.speakers))
        frames = []
        with suppress(grpc.aio.AioRpcError):
            while (body := await call.read()) is not grpc.aio.EOF:
                frames.append(decode_server(body))
        code = (await call.code()).name
    (speaker,) = site.doorman.speakers
    assert [len(frame.messages) for frame in frames] == [1] * len(site.doorman.words)
    assert code == ("NOT_FOUND" if is_refused else "OK")
    assert speaker.reasons == ([] if is_refused else ["the other end closed the stream"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body", [b"\xff\xff", b"", b"\x22\x05abc", encode_client(ClientFrame(1, 0, [Cancel(1)]))]
)
async def test_garbage_is_refused_with_a_status(site: Site, body: bytes) -> None:
    async with raw(site) as call:
        await call.write(body)
        code, failure = await ending(call)
        status = await rpc_status.aio.from_call(call)
    assert code == failure.code == "INVALID_ARGUMENT"
    assert status is not None
    assert (status.code, status.message) == (3, failure.message)
    assert b"speaker" in status.details[0].value


@pytest.mark.anyio
async def test_a_fault_of_an_end_is_its_own(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def stumble(_: Any) -> None:
        raise KeyError("secret")

    client, carrier = await site.dial()
    (server,) = site.doorman.speakers
    server.on_frame = stumble
    client.say(ClientFrame(1, 0, [Bye()]))
    await wait_until(lambda: bool(client.reasons))
    assert client.reasons == ["INTERNAL: the connection failed at the server"]
    assert len(server.reasons) == 1
    await carrier.wait_closed()
    other, carrier = await site.dial()
    other.on_frame = stumble
    site.doorman.speakers[-1].say(ServerFrame(1, 0, [Taken(1, 1)]))
    await carrier.wait_closed()
    assert len(other.reasons) == 1
    assert caplog.text.count("KeyError: 'secret'") == 2


@pytest.mark.anyio
async def test_a_first_frame_that_is_too_long_is_refused(site: Site) -> None:
    async with raw(site) as call:
        await call.write(encode_client(ClientFrame(messages=[Hello("x" * 70_000)])))
        assert (await ending(call))[0] == "RESOURCE_EXHAUSTED"


@pytest.mark.anyio
async def test_a_frame_above_every_limit_is_refused_by_grpc(site: Site) -> None:
    async with raw(site) as call:
        await call.write(b"\0" * (MAX_FRAME + 2048))
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    (server,) = site.doorman.speakers
    await wait_until(lambda: len(server.reasons) == 1)
    assert server.heard == []


@pytest.mark.anyio
async def test_too_many_streams_that_say_nothing_are_sent_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loom_plugin_bridge.carriers.grpc.WAITING", 2)
    site.doorman.patience = 60
    async with raw(site) as first, raw(site) as second:
        await first.wait_for_connection()
        await second.wait_for_connection()
        async with raw(site) as third:
            assert await third.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await first.write(encode_client(ClientFrame(messages=[Hello()])))
        assert decode_server(await first.read()) == WELCOME
        _, carrier = await site.dial()
        await end(carrier)


@pytest.mark.anyio
async def test_a_foreign_client_gets_whole_events(site: Site) -> None:
    async with raw(site) as call:
        await call.write(encode_client(ClientFrame(messages=[Hello()])))
        await call.read()
        (server,) = site.doorman.speakers
        server.say(ServerFrame(1, 0, [Deliver(1, event(3))]))
        body = await call.read()
    assert not is_packed(body)
    assert event(3).id.encode() in body
    async with raw(site, PACKED) as call:
        await call.write(encode_client(ClientFrame(messages=[Hello()])))
        assert is_packed(await call.read())


@pytest.mark.anyio
async def test_nobody_there_is_an_oserror(folder: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await connect(Address("grpc+unix", path=str(folder / "none.sock")), Speaker())


@pytest.mark.anyio
async def test_a_token_that_no_header_holds_stays_in_the_hello(site: Site) -> None:
    _, carrier = await site.dial(token="line\nbreak")
    assert site.doorman.tokens == [""]
    await end(carrier)


@pytest.mark.anyio
async def test_another_service_is_not_this_one(folder: Path) -> None:
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{folder / 'other.sock'}")
    await server.start()
    try:
        with pytest.raises(Disconnected, match="no bridge"):
            await connect(Address("grpc+unix", path=str(folder / "other.sock")), Speaker())
    finally:
        await server.stop(0)


# -- addresses --------------------------------------------------------------------------------
