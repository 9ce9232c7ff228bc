"""Every way into the bridge × every wrong credential and every wrong beginning.

The ways are those that the service descriptors and the running server name: one without a row here
fails the tests. Whoever is refused gets a typed code, and no word of what others have.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from loom.bridge import messages
from loom_kernel.testing import wait_until
from loom_plugin_bridge.tokens import Tokens
from loom_proto import bridge_pb2 as pb
from loom_proto import pubsub_pb2
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from plugins.bridge.tests.conftest import Site
from plugins.bridge.tests.test_access import make
from plugins.bridge.tests.ways import (
    ADMITTED,
    BY_HEADER,
    BY_HELLO,
    EVENTS,
    HEALTH,
    OPEN,
    REFLECTION,
    SESSIONS,
    WAYS,
    Answer,
    Credential,
    answer_of,
    channel,
    frames_session,
    status_of,
    stream,
    unary,
    websocket_session,
)

pytestmark = [pytest.mark.anyio, pytest.mark.reliability("S8"), pytest.mark.feature("SEC-06")]


async def test_every_method_of_every_service_has_a_row() -> None:
    files = (pb, pubsub_pb2, health_pb2, reflection_pb2)
    services = [one for file in files for one in file.DESCRIPTOR.services_by_name.values()]
    found = {f"{one.full_name}/{method.name}" for one in services for method in one.methods}
    assert found == {way for way in WAYS if "/" in way} | OPEN


async def test_every_service_of_the_running_server_has_a_row(site: Site) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with channel(site) as line:
        method: Any = line.stream_stream(f"/{REFLECTION}/ServerReflectionInfo")
        call = method(timeout=5)
        await call.write(asked)
        answer = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
        call.cancel()
    served = {one.name for one in answer.list_services_response.service}
    assert served == {way.rpartition("/")[0] for way in {*WAYS, *OPEN} if "/" in way}


# -- credentials ------------------------------------------------------------------------------


def revoked(site: Site) -> str:
    token = make(site, "canary-revoked")
    Tokens(site.folder, site.host.clock.time).revoke("canary-revoked")
    return token


def hash_of_one(site: Site) -> str:
    token = make(site, "one")
    known = Tokens(site.folder, site.host.clock.time).list()
    (grant,) = [grant for grant in known if grant.name == "one"]
    return f"{token.rpartition('_')[0]}_{grant.hash}"


WRONG: dict[str, Callable[[Site], str]] = {
    "none": lambda site: "",
    "no secret": lambda site: make(site, "one").rpartition("_")[0] + "_",
    "a guess": lambda site: "loom_local_" + "0" * 64,
    "one character less": lambda site: make(site, "one")[:-1],
    "one character more": lambda site: make(site, "one") + "0",
    "the owner's, cut short": lambda site: site.token[:-1],
    "upper case": lambda site: make(site, "one").upper(),
    "another prefix": lambda site: make(site, "one").replace("loom", "Loom", 1),
    "white space within": lambda site: make(site, "one").replace("_", "_ ", 1),
    "expired": lambda site: make(site, "late", expires=site.host.clock.time() - 1),
    "revoked": revoked,
    "the hash instead of the secret": hash_of_one,
    "many letters": lambda site: "x" * 7_000,
}


HEADERS: dict[str, tuple[Callable[[str], list[str]], bool]] = {
    "as it should be": (lambda token: [f"Bearer {token}"], True),
    "another case of the scheme": (lambda token: [f"bEARER {token}"], True),
    "more white space": (lambda token: [f"Bearer   {token}"], True),
    "no scheme": (lambda token: [token], False),
    "another scheme": (lambda token: [f"Basic {token}"], False),
    "the scheme alone": (lambda token: ["Bearer"], False),
    "twice, the wrong one first": (lambda token: ["Bearer wrong", f"Bearer {token}"], False),
    "both in one": (lambda token: [f"Bearer wrong, Bearer {token}"], False),
}


@pytest.fixture(autouse=True)
async def _listening(site: Site) -> None:
    """gRPC comes later than the rest."""
    await wait_until((site.folder / "grpc.sock").exists)


@pytest.fixture
async def canaries(site: Site) -> Site:
    """What others have, of which nobody who is refused may read a word."""
    client = site.raw()
    token = make(site, "canary-token", namespace="canary-space")
    await client.hello(token=token, agent="canary-agent")
    await client.say(
        messages.Subscribe(0, ("canary.topic",)),
        messages.Publish("canary.topic", b'"canary data"'),
    )
    await client.next(messages.Deliver)
    return site


def check(answer: Answer, code: str, name: str) -> None:
    assert answer.code == code, (name, answer)
    assert "canary" not in answer.text, (name, answer)
    assert len(answer.text) < 2_000, name


@pytest.mark.corpus
@pytest.mark.parametrize("wrong", list(WRONG))
async def test_a_wrong_token_is_refused_everywhere(canaries: Site, wrong: str) -> None:
    site = canaries
    token = WRONG[wrong](site)
    for way in BY_HEADER:
        answer = await WAYS[way](site, Credential([f"Bearer {token}"] if token else []))
        check(answer, "UNAUTHENTICATED", way)
    for way in BY_HELLO:
        check(await WAYS[way](site, Credential(token=token)), "UNAUTHENTICATED", way)


@pytest.mark.parametrize("header", list(HEADERS))
async def test_a_right_token_in_a_header(canaries: Site, header: str) -> None:
    site = canaries
    write, is_right = HEADERS[header]
    token = make(site, "one")
    for way in BY_HEADER:
        answer = await WAYS[way](site, Credential(write(token)))
        check(answer, ADMITTED.get(way, "OK") if is_right else "UNAUTHENTICATED", way)


async def test_a_right_token_in_the_hello(canaries: Site) -> None:
    for way in BY_HELLO:
        check(await WAYS[way](canaries, Credential(token=canaries.token)), "OK", way)


async def test_more_wrong_tokens_are_answered_with_patience(site: Site) -> None:
    codes = [(await frames_session(site, Credential(token="x"))).code for _ in range(12)]
    assert codes == ["UNAUTHENTICATED"] * 10 + ["RESOURCE_EXHAUSTED"] * 2
    for way in BY_HEADER:  # all ways share the count, and let in who is right
        answer = await WAYS[way](site, Credential([f"Bearer {site.token}"]))
        check(answer, ADMITTED.get(way, "OK"), way)
        check(await WAYS[way](site, Credential(["Bearer x"])), "RESOURCE_EXHAUSTED", way)


@pytest.mark.feature("SEC-07")
async def test_another_tenants_token_opens_nothing_of_ours(canaries: Site) -> None:
    site = canaries
    token = make(site, "tenant", namespace="elsewhere", agents=("mine-*",))
    held = Credential([f"Bearer {token}"], token)
    for way in (way for way in WAYS if EVENTS in way):
        check(await WAYS[way](site, held), "PERMISSION_DENIED", way)
    for way in BY_HELLO:
        for agent, code in (
            ("canary-agent", "PERMISSION_DENIED"),
            ("canary-space/canary-agent", "INVALID_ARGUMENT"),
        ):
            answer = await WAYS[way](site, Credential(token=token, agent=agent))
            check(Answer(answer.code, answer.text.replace(agent, "")), code, way)
        mine = Credential(token=token, agent=f"mine-{way.rpartition('/')[2]}")
        check(await WAYS[way](site, mine), "OK", way)


async def test_a_token_in_an_address_is_refused(site: Site) -> None:
    answer = await websocket_session(site, Credential(), f"?token={site.token}")
    assert answer.code == "400"
    assert site.token not in answer.text
    for way in (way for way in WAYS if "/" in way):
        refused = await unary(site, f"/{way}?token={site.token}", b"", Credential())
        assert refused.code == "UNIMPLEMENTED", way
        assert site.token not in refused.text


@pytest.mark.parametrize("way", [*BY_HELLO, f"{EVENTS}/Subscribe"])
async def test_a_token_that_is_revoked_ends_what_it_began(site: Site, way: str) -> None:
    token = make(site, "brief")
    ended = site.host.spawn(_stay(site, way, token), "stay")
    await site.told("in")
    Tokens(site.folder, site.host.clock.time).revoke("brief")
    async with asyncio.timeout(5):
        assert (await ended).code == ("UNAVAILABLE" if EVENTS in way else "UNAUTHENTICATED")


async def _stay(site: Site, way: str, token: str) -> Answer:
    """Go in, publish to say so, and stay until one is sent away."""
    if way == "frames":
        client = site.raw()
        await client.hello(token=token)
        await client.say(messages.Publish("in", b"1"))
        failure = await client.farewell()
        return Answer(failure.code, failure.message)
    if way == "websocket":
        return await _stay_on_page(site, token)
    async with channel(site) as line:
        method: Any = line.stream_stream(f"/{way}")
        call = method(metadata=[("authorization", f"Bearer {token}")])
        frame: Any = pb.SessionRequest(messages=[pb.ClientMessage(hello=pb.Hello())])
        if EVENTS in way:
            frame = pubsub_pb2.SubscribeRequest(patterns=["t"])
        await call.write(frame.SerializeToString())
        await call.read()
        site.host.publish_nowait("in")
        with suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        return await status_of(call)


async def _stay_on_page(site: Site, token: str) -> Answer:
    where = str(site.folder / "websocket.sock")
    async with unix_connect(where, "ws://localhost/bridge", compression=None) as page:
        await page.send(json.dumps({"messages": [{"kind": "hello", "token": token}]}))
        await page.recv()
        site.host.publish_nowait("in")
        told: list[Any] = []
        with suppress(ConnectionClosed):
            while True:
                told += json.loads(await page.recv()).get("messages", [])
        return answer_of(told[-1])


# -- wrong beginnings -------------------------------------------------------------------------

FIRST: dict[str, list[Any]] = {
    "nothing": [],
    "two hellos": [messages.Hello(), messages.Hello()],
    "more than a hello": [messages.Hello(), messages.Bye()],
    "a subscription": [messages.Subscribe(1, ("t",))],
    "an event": [messages.Publish("t", b"1")],
    "an acknowledgement": [messages.Ack([(1, 1)])],
    "an end": [messages.Bye()],
}


async def begin(site: Site, way: str, body: bytes) -> Answer:
    """Begin a session with *body* as the first frame."""
    if way == "frames":
        client = site.raw()
        await client.send(struct.pack(">I", len(body)) + body)
        failure = await client.next(messages.Failure)
        assert failure.fatal
        return Answer(failure.code, failure.message)
    if way != "websocket":
        return await stream(site, f"/{way}", body, Credential())
    where = str(site.folder / "websocket.sock")
    async with unix_connect(where, "ws://localhost/bridge", compression=None) as page:
        told: list[Any] = []
        with suppress(ConnectionClosed):
            await page.send(body, text=True)
            while True:
                told += json.loads(await page.recv())["messages"]
        return (
            answer_of(told[-1]) if told else Answer(str(page.close_code), page.close_reason or "")
        )


def written(way: str, said: list[Any]) -> bytes:
    from loom.bridge import codec, protobuf, text

    frame = messages.ClientFrame(messages=said)
    encode: Any = {"frames": codec.encode, "websocket": text.encode_client}
    body: bytes = encode.get(way, protobuf.encode_client)(frame)
    return body


@pytest.mark.corpus
@pytest.mark.feature("BRG-06")
@pytest.mark.parametrize("way", BY_HELLO)
@pytest.mark.parametrize("first", list(FIRST))
async def test_a_first_message_that_is_no_hello_is_refused(
    canaries: Site, way: str, first: str
) -> None:
    check(await begin(canaries, way, written(way, FIRST[first])), "INVALID_ARGUMENT", way)


@pytest.mark.parametrize("way", BY_HELLO)
async def test_garbage_is_refused(canaries: Site, way: str) -> None:
    for body in (b"\xff" * 40, b"GET / HTTP/1.1\r\n\r\n", b"{}" * 30, b"\0" * 1000):
        answer = await begin(canaries, way, body)
        assert answer.code in ("INVALID_ARGUMENT", "1007"), (way, answer)
        assert "canary" not in answer.text


@pytest.mark.parametrize("way", BY_HELLO)
async def test_a_first_frame_that_is_too_long_is_refused(canaries: Site, way: str) -> None:
    said: list[Any] = [messages.Hello(token="x" * 70_000)]
    answer = await begin(canaries, way, written(way, said))
    assert answer.code in ("RESOURCE_EXHAUSTED", "1009"), (way, answer)


async def test_garbage_is_read_from_nobody_without_a_token(site: Site) -> None:
    """Who is not let in learns nothing about what was wrong with the rest."""
    for way in (way for way in WAYS if EVENTS in way):
        call = stream if way.endswith("Subscribe") else unary
        refused = await call(site, f"/{way}", b"\xff" * 40, Credential())
        check(refused, "UNAUTHENTICATED", way)
        held = Credential([f"Bearer {site.token}"])
        check(await call(site, f"/{way}", b"\xff" * 40, held), "INVALID_ARGUMENT", way)
        long = await call(site, f"/{way}", b"x" * (5 << 20), Credential())
        check(long, "RESOURCE_EXHAUSTED", way)


@pytest.mark.feature("BRG-06")
@pytest.mark.parametrize("way", BY_HELLO)
async def test_who_says_nothing_is_told_so(site: Site, way: str) -> None:
    answers: dict[str, Callable[[Site], Awaitable[Answer]]] = {
        "frames": _silent_frames, "websocket": _silent_page,
    }  # fmt: skip
    check(await answers.get(way, _silent_stream)(site), "DEADLINE_EXCEEDED", way)


async def _silent_frames(site: Site) -> Answer:
    """Bytes that trickle are no hello either."""
    client = site.raw()
    await client.send(struct.pack(">I", 60_000))
    waiting = site.host.spawn(client.farewell(), "waiting")
    while not waiting.done():
        with suppress(OSError):
            await client.send(b"x")
        await asyncio.wait([waiting], timeout=0.02)
    failure = await waiting
    return Answer(failure.code, failure.message)


async def _silent_page(site: Site) -> Answer:
    where = str(site.folder / "websocket.sock")
    async with unix_connect(where, "ws://localhost/bridge", compression=None) as page:
        return answer_of(json.loads(await page.recv())["messages"][0])


async def _silent_stream(site: Site) -> Answer:
    async with channel(site) as line:
        method: Any = line.stream_stream(f"/{SESSIONS}/Session")
        call = method(timeout=5)
        with suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        return await status_of(call)


# -- what is open -----------------------------------------------------------------------------


async def test_health_and_reflection_say_the_same_to_everybody(canaries: Site) -> None:
    bodies = {
        "Check": health_pb2.HealthCheckRequest(),
        "ServerReflectionInfo": reflection_pb2.ServerReflectionRequest(list_services=""),
    }
    for way in sorted(OPEN - {f"{HEALTH}/Watch", f"{HEALTH}/List"}):
        service, _, method = way.rpartition("/")
        body = bodies[method].SerializeToString()
        call = stream if service == REFLECTION else unary
        for credential in (Credential(), Credential(["Bearer wrong"])):
            check(await call(canaries, f"/{way}", body, credential), "OK", way)
    asked = health_pb2.HealthCheckRequest(service="canary-agent").SerializeToString()
    answer = await unary(canaries, f"/{HEALTH}/Check", asked, Credential())
    check(answer, "NOT_FOUND", "health")
