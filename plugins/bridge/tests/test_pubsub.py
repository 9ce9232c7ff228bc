"""EventBusService, as a client knows it that has nothing but the .proto files."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from loom.bridge import Refused
from loom_kernel import Host, Runtime, matches
from loom_kernel.testing import EventRecorder, running, wait_until
from loom_plugin_bridge.carriers.grpc import EVENTS, GrpcListener, GrpcSettings
from loom_plugin_bridge.pubsub import EventBus
from loom_proto import bridge_pb2
from loom_proto import pubsub_pb2 as pb

from plugins.bridge.tests.grpc_site import Doorman

METHODS: dict[str, Any] = {
    "Publish": pb.PublishResponse,
    "Unsubscribe": pb.UnsubscribeResponse,
    "GetStats": pb.GetStatsResponse,
}


class Holder:
    """Somebody with a token that opens *open*."""

    def __init__(self, host: Host, name: str, open: str) -> None:
        self.name = name
        self.host = host.scope(name)
        self._open = open

    def allows_publish(self, topic: str) -> bool:
        return matches(self._open, topic)

    def allows_subscribe(self, pattern: str) -> bool:
        return self._open == ">" or matches(self._open, pattern)


class Service:
    """The service of one runtime, and calls to it."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.host = runtime.host("bridge")
        self.events = EventRecorder(runtime.host("witness"), ">")
        self.holders = {
            "a": Holder(self.host, "alice", ">"),
            "b": Holder(self.host, "bob", "public.>"),
        }
        self.bus = EventBus(self.host, self._authenticate)
        settings = GrpcSettings(path=folder / "grpc.sock")
        self.listener = GrpcListener(self.host, Doorman(), settings, self.bus.handlers)
        self.channel = grpc.aio.insecure_channel(f"unix:{folder / 'grpc.sock'}")

    def _authenticate(self, token: str, origin: str) -> Holder:
        assert origin == "unix"
        try:
            return self.holders[token]
        except KeyError:
            raise Refused("UNAUTHENTICATED", "unknown token") from None

    async def call(self, method: str, request: Any, token: str = "a") -> Any:
        body = request if isinstance(request, bytes) else request.SerializeToString()
        call: Any = self.channel.unary_unary(f"/{EVENTS}/{method}")
        return METHODS[method].FromString(await call(body, metadata=_headers(token)))

    async def subscribe(self, request: Any, token: str = "a") -> tuple[Any, str]:
        """The stream, and the id that its first response gives."""
        body = request if isinstance(request, bytes) else request.SerializeToString()
        call: Any = self.channel.unary_stream(f"/{EVENTS}/Subscribe")
        stream = call(body, metadata=_headers(token))
        first = pb.SubscribeResponse.FromString(await stream.read())
        assert not first.events
        return stream, first.subscription_id


def _headers(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")] if token else []


async def read(stream: Any, count: int) -> list[Any]:
    """The next *count* events of *stream*."""
    events: list[Any] = []
    async with asyncio.timeout(5):
        while len(events) < count:
            body = await stream.read()
            assert body is not grpc.aio.EOF
            events.extend(pb.SubscribeResponse.FromString(body).events)
    return events


@pytest.fixture
async def service(home: Path) -> AsyncIterator[Service]:
    folder = home / "bridge"
    folder.mkdir(mode=0o700)
    async with running() as runtime:
        service = Service(runtime, folder)
        await service.listener.start()
        try:
            yield service
        finally:
            await service.channel.close()
            await service.listener.aclose()


@pytest.mark.anyio
@pytest.mark.feature("BUS-14")
async def test_what_is_published_is_received_with_its_sender(service: Service) -> None:
    stream, _ = await service.subscribe(pb.SubscribeRequest(patterns=["a.*"]))
    fields = bridge_pb2.PublishFields(subject="s", tags=["x"], priority=70)
    answer = await service.call(
        "Publish", pb.PublishRequest(topic="a.b", payload=b'{"n": 1}', fields=fields)
    )
    (event,) = await read(stream, 1)
    assert answer.taken >= 1
    assert (event.topic, event.type, event.sender) == ("a.b", "a.b", "alice")
    assert (event.subject, list(event.tags), event.priority) == ("s", ["x"], 70)
    assert event.payload == b'{"n": 1}'
    assert event.id
    assert event.thread_id == event.id
    (told,) = await service.events.wait_for("a.b")
    assert told.data == {"n": 1}


@pytest.mark.anyio
async def test_octets_and_nothing_are_data_too(service: Service) -> None:
    stream, _ = await service.subscribe(pb.SubscribeRequest(patterns=["a"], qos="QOS_BATCHED"))
    await service.call("Publish", pb.PublishRequest(topic="a", data=b"\0\xff"))
    await service.call("Publish", pb.PublishRequest(topic="a"))
    octets, nothing = await read(stream, 2)
    assert (octets.binary, octets.payload) == (True, b"\0\xff")
    assert (nothing.binary, nothing.payload) == (False, b"null")


@pytest.mark.anyio
async def test_many_events_share_a_response_and_large_ones_do_not(service: Service) -> None:
    stream, _ = await service.subscribe(
        pb.SubscribeRequest(patterns=["a"], qos="QOS_BACKGROUND", capacity=500)
    )
    publisher = service.host.scope("publisher")
    for _ in range(400):
        publisher.publish_nowait("a", "x" * 20_000)
    events = await read(stream, 400)
    assert [event.sender for event in events] == ["publisher"] * 400


@pytest.mark.anyio
@pytest.mark.feature("BUS-14")
async def test_a_subscription_ends_when_its_client_says_so(service: Service) -> None:
    stream, id = await service.subscribe(pb.SubscribeRequest(patterns=["a"]))
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await service.call("Unsubscribe", pb.UnsubscribeRequest(subscription_id=id), token="b")
    await service.call("Unsubscribe", pb.UnsubscribeRequest(subscription_id=id))
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await service.call("Unsubscribe", pb.UnsubscribeRequest(subscription_id=id))


@pytest.mark.anyio
async def test_nothing_is_left_of_a_client_that_goes_away(service: Service) -> None:
    before = len(service.host.status()["subscriptions"])
    streams = [(await service.subscribe(pb.SubscribeRequest(patterns=["a"])))[0] for _ in range(5)]
    assert len(service.host.status()["subscriptions"]) == before + 5
    for stream in streams:
        stream.cancel()
    await wait_until(lambda: len(service.host.status()["subscriptions"]) == before)


@pytest.mark.anyio
async def test_a_client_that_is_dropped_is_told(service: Service) -> None:
    stream, _ = await service.subscribe(pb.SubscribeRequest(patterns=["a"]))
    service.bus.drop("bob")
    service.bus.drop("alice")
    with pytest.raises(grpc.aio.AioRpcError):
        await stream.read()
    assert await stream.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.anyio
@pytest.mark.feature("BUS-14")
async def test_stats_show_what_the_client_may_see(service: Service) -> None:
    _, _ = await service.subscribe(pb.SubscribeRequest(patterns=["public.*"]), token="b")
    for topic in ("public.a", "public.b", "private.a"):
        await service.call("Publish", pb.PublishRequest(topic=topic))
    seen = await service.call("GetStats", pb.GetStatsRequest(), token="b")
    assert [one.topic for one in seen.topics] == ["public.a", "public.b"]
    assert seen.subscriptions == 1
    assert all(one.published == 1 for one in seen.topics)
    wanted = pb.GetStatsRequest(patterns=["private.>"])
    assert [one.topic for one in (await service.call("GetStats", wanted)).topics] == ["private.a"]


GOOD: dict[str, Any] = {
    "Publish": pb.PublishRequest(topic="public.a"),
    "Subscribe": pb.SubscribeRequest(patterns=["public.a"]),
    "Unsubscribe": pb.UnsubscribeRequest(subscription_id="x"),
    "GetStats": pb.GetStatsRequest(),
}


async def attempt(service: Service, method: str, request: Any, token: str) -> Any:
    if method == "Subscribe":
        return await service.subscribe(request, token)
    return await service.call(method, request, token)


def test_every_method_is_in_the_matrix() -> None:
    (found,) = pb.DESCRIPTOR.services_by_name.values()
    assert set(found.methods_by_name) == set(GOOD)


@pytest.mark.anyio
@pytest.mark.feature("SEC-06")
@pytest.mark.parametrize("method", GOOD)
@pytest.mark.parametrize("token", ["", "wrong"])
async def test_no_method_answers_a_stranger(service: Service, method: str, token: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await attempt(service, method, GOOD[method], token)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]  # it has the metadata
    assert status is not None
    assert status.code == 16


@pytest.mark.anyio
@pytest.mark.parametrize("method", GOOD)
async def test_garbage_is_an_invalid_argument(service: Service, method: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await attempt(service, method, b"\xff\xff", "a")


NAN = struct.unpack("<d", b"\0\0\0\0\0\0\xf8\x7f")[0]


@pytest.mark.corpus
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("Publish", pb.PublishRequest(topic="private.a"), "PERMISSION_DENIED"),
        ("Publish", pb.PublishRequest(topic="public..a"), "INVALID_ARGUMENT"),
        ("Publish", pb.PublishRequest(topic="public.*"), "INVALID_ARGUMENT"),
        ("Publish", pb.PublishRequest(topic="public.a", payload=b"{"), "INVALID_ARGUMENT"),
        ("Publish", pb.PublishRequest(topic="public.a", data=b"x" * (2 << 20)), "EXHAUSTED"),
        (
            "Publish",
            pb.PublishRequest(topic="public.a", fields=bridge_pb2.PublishFields(priority=101)),
            "INVALID_ARGUMENT",
        ),
        (
            "Publish",
            pb.PublishRequest(topic="public.a", fields=bridge_pb2.PublishFields(expires=NAN)),
            "INVALID_ARGUMENT",
        ),
        (
            "Publish",
            pb.PublishRequest(
                topic="public.a", fields=bridge_pb2.PublishFields(reply_to="private.a")
            ),
            "PERMISSION_DENIED",
        ),
        ("Subscribe", pb.SubscribeRequest(), "INVALID_ARGUMENT"),
        ("Subscribe", pb.SubscribeRequest(patterns=["private.a"]), "PERMISSION_DENIED"),
        (
            "Subscribe",
            pb.SubscribeRequest(patterns=["public.a"], overflow="forget"),
            "INVALID_ARGUMENT",
        ),
        ("Subscribe", pb.SubscribeRequest(patterns=["public.a"], capacity=1 << 20), "INVALID"),
        ("Subscribe", pb.SubscribeRequest(patterns=["public.a"], qos=9), "INVALID_ARGUMENT"),  # type: ignore[arg-type]  # a newer client's
    ],
)
async def test_what_is_wrong_is_refused(
    service: Service, method: str, request_: Any, code: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=code):
        await attempt(service, method, request_, "b")


@pytest.mark.anyio
async def test_a_client_has_only_so_many_subscriptions(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loom_plugin_bridge.pubsub.SUBSCRIPTIONS", 1)
    await service.subscribe(pb.SubscribeRequest(patterns=["public.a"]))
    with pytest.raises(grpc.aio.AioRpcError, match="RESOURCE_EXHAUSTED"):
        await service.subscribe(pb.SubscribeRequest(patterns=["public.a"]))
    await service.subscribe(pb.SubscribeRequest(patterns=["public.a"]), token="b")
