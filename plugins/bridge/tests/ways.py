"""The ways into a bridge, for somebody who has the .proto files, a socket and no SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import msgspec
from loom.bridge import messages
from loom_proto import bridge_pb2 as pb
from loom_proto import pubsub_pb2
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus

from plugins.bridge.tests.conftest import Site

SESSIONS, EVENTS = "loom.bridge.v1.BridgeService", "loom.bridge.v1.EventBusService"
HEALTH, REFLECTION = "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
IN = "let in"


class Credential(msgspec.Struct):
    """What somebody comes with: *headers* are values of Authorization, *token* is in the hello."""

    headers: list[str] = []
    token: str = ""
    agent: str = ""


class Answer(msgspec.Struct):
    code: str
    text: str = ""


# -- ways in ----------------------------------------------------------------------------------


def channel(site: Site) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        f"unix:{site.folder / 'grpc.sock'}", options=[("grpc.use_local_subchannel_pool", 1)]
    )


def metadata(credential: Credential) -> list[tuple[str, str]]:
    return [("authorization", value) for value in credential.headers]


async def status_of(call: Any) -> Answer:
    trailing = [str(value) for _, value in await call.trailing_metadata() or ()]
    return Answer((await call.code()).name, f"{await call.details()} {trailing}")


async def unary(site: Site, path: str, body: bytes, credential: Credential) -> Answer:
    async with channel(site) as line:
        method: Any = line.unary_unary(path)
        call = method(body, metadata=metadata(credential), timeout=5)
        with suppress(grpc.aio.AioRpcError):
            await call
        return await status_of(call)


async def stream(site: Site, path: str, body: bytes, credential: Credential) -> Answer:
    """A call whose answer is a stream: the first response means that one is in."""
    async with channel(site) as line:
        method: Any = line.stream_stream(path)
        call = method(metadata=metadata(credential), timeout=5)
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(body)
            await call.done_writing()
            first = await call.read()
            if first is not grpc.aio.EOF:
                frame = pb.SessionResponse.FromString(first) if SESSIONS in path else None
                if frame is None or frame.messages[0].WhichOneof("kind") == "welcome":
                    call.cancel()
                    return Answer("OK")
                await call.read()
        answer = await status_of(call)
        return Answer("SILENCE") if answer.code == "OK" else answer


def hello(credential: Credential) -> dict[str, Any]:
    said = {"kind": "hello", "agent": credential.agent}
    return said | ({"token": credential.token} if credential.token else {})


async def grpc_session(site: Site, credential: Credential) -> Answer:
    frame = pb.SessionRequest()
    frame.messages.add().hello.token = credential.token
    frame.messages[0].hello.agent = credential.agent
    return await stream(site, f"/{SESSIONS}/Session", frame.SerializeToString(), credential)


async def frames_session(site: Site, credential: Credential) -> Answer:
    client = site.raw()
    await client.say(messages.Hello(token=credential.token, agent=credential.agent))
    return answer_of(msgspec.to_builtins((await client.frame()).messages[0]))


async def websocket_session(site: Site, credential: Credential, query: str = "") -> Answer:
    headers = [("Authorization", value) for value in credential.headers]
    where, uri = str(site.folder / "websocket.sock"), f"ws://localhost/bridge{query}"
    try:
        async with unix_connect(where, uri, additional_headers=headers, compression=None) as page:
            await page.send(json.dumps({"messages": [hello(credential)]}))
            return answer_of(json.loads(await page.recv())["messages"][0])
    except InvalidStatus as error:
        return Answer(str(error.response.status_code), error.response.body.decode())


def answer_of(message: dict[str, Any]) -> Answer:
    if message["kind"] == "welcome":
        return Answer("OK")
    return Answer(message["code"], message["message"])


def _events(method: str, request: Any) -> Callable[[Site, Credential], Awaitable[Answer]]:
    call = stream if method == "Subscribe" else unary
    return lambda site, credential: call(
        site, f"/{EVENTS}/{method}", request.SerializeToString(), credential
    )


WAYS: dict[str, Callable[[Site, Credential], Awaitable[Answer]]] = {
    f"{SESSIONS}/Session": grpc_session,
    f"{EVENTS}/Publish": _events("Publish", pubsub_pb2.PublishRequest(topic="t", payload=b"1")),
    f"{EVENTS}/Subscribe": _events("Subscribe", pubsub_pb2.SubscribeRequest(patterns=["t"])),
    f"{EVENTS}/Unsubscribe": _events("Unsubscribe", pubsub_pb2.UnsubscribeRequest()),
    f"{EVENTS}/GetStats": _events("GetStats", pubsub_pb2.GetStatsRequest()),
    "websocket": websocket_session,
    "frames": frames_session,
}
"""By name; those of gRPC are the names of their methods."""
OPEN = {
    f"{HEALTH}/Check",
    f"{HEALTH}/Watch",
    f"{HEALTH}/List",
    f"{REFLECTION}/ServerReflectionInfo",
}
"""Methods that answer everybody, and the same; List is one that the library does not have yet."""
BY_HEADER = [way for way in WAYS if way != "frames"]
BY_HELLO = ["frames", "websocket", f"{SESSIONS}/Session"]
ADMITTED = {f"{EVENTS}/Unsubscribe": "NOT_FOUND"}
"""What says that one is in, where that is not OK."""
