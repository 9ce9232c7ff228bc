"""EventBusService: events for clients that are no agents (`loom/bridge/v1/pubsub.proto`)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message
from loom.bridge import ProtocolError, Refused
from loom.bridge.carriers.grpc import QOS_NAMES, read_fields, write_event
from loom_kernel import Encoded, Envelope, Host, Subscription, matches
from loom_proto import pubsub_pb2 as pb

from loom_plugin_bridge.answering import answered
from loom_plugin_bridge.carriers.grpc import Handlers, origin_of, token_of
from loom_plugin_bridge.publishing import problem_of_head

BATCH = 256
LONGEST = 1 << 20
"""Events and bytes of payload after which a response is sent, whatever else waits."""
SUBSCRIPTIONS = 100
"""How many a client may have open: fewer than one connection has streams."""
PATTERNS = 256
CAPACITY = 65_536
_check_json = msgspec.json.Decoder(msgspec.Raw).decode

Context = grpc.aio.ServicerContext[Any, Any]
Request = TypeVar("Request", bound=Message)


class Client(Protocol):
    """Whoever holds a token."""

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> Host:
        """Publishes and subscribes in the client's name."""
        ...

    def allows_publish(self, topic: str) -> bool: ...
    def allows_subscribe(self, pattern: str) -> bool: ...


Authenticate = Callable[[str, str], Client]
"""Who holds a token that came from an origin; raises `Refused`."""


class _Open(msgspec.Struct):
    client: str
    subscription: Subscription
    is_wanted: bool = True
    """Whether the client has not ended it itself."""


class EventBus:
    """The service; `handlers` is what a gRPC server calls."""

    def __init__(self, host: Host, authenticate: Authenticate) -> None:
        self._host = host
        self._authenticate = authenticate
        self._open: dict[str, _Open] = {}

    @property
    def handlers(self) -> Handlers:
        """By method, from bytes to bytes."""
        return {
            "Publish": self._unary(pb.PublishRequest, self._publish),
            "Unsubscribe": self._unary(pb.UnsubscribeRequest, self._unsubscribe),
            "GetStats": self._unary(pb.GetStatsRequest, self._stats),
            "Subscribe": grpc.unary_stream_rpc_method_handler(self._subscribe),
        }

    def drop(self, client: str) -> None:
        """End all subscriptions of *client*, whose token is not worth anything any more."""
        for one in [one for one in self._open.values() if one.client == client]:
            one.subscription.close()

    # -- calls -------------------------------------------------------------------------------

    def _unary(
        self, kind: type[Request], answer: Callable[[Client, Request], Awaitable[Message]]
    ) -> Any:
        async def handle(body: bytes, context: Context) -> bytes:
            with answered(self._host, context):
                client = self._authenticate(token_of(context), origin_of(context))
                return (await answer(client, _parsed(kind, body))).SerializeToString()
            return b""

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _publish(self, client: Client, request: pb.PublishRequest) -> pb.PublishResponse:
        fields = read_fields(request.fields)
        if not client.allows_publish(request.topic):
            raise Refused("PERMISSION_DENIED", f"{client.name} may not publish {request.topic!r}")
        if problem := problem_of_head(request.type, fields):
            raise ProtocolError("INVALID_ARGUMENT", problem)
        reply_to = fields.get("reply_to", "")
        if reply_to and not client.allows_subscribe(reply_to):
            raise Refused("PERMISSION_DENIED", f"{client.name} may not receive {reply_to!r}")
        data = _content(request)
        taken = await client.host.publish(request.topic, data, request.type, **fields)
        return pb.PublishResponse(taken=taken)

    async def _unsubscribe(
        self, client: Client, request: pb.UnsubscribeRequest
    ) -> pb.UnsubscribeResponse:
        found = self._open.get(request.subscription_id)
        if found is None or found.client != client.name:
            raise Refused("NOT_FOUND", f"no subscription {request.subscription_id!r} is open")
        found.is_wanted = False
        found.subscription.close()
        return pb.UnsubscribeResponse()

    async def _stats(self, client: Client, request: pb.GetStatsRequest) -> pb.GetStatsResponse:
        own = sum(1 for one in self._open.values() if one.client == client.name)
        answer = pb.GetStatsResponse(subscriptions=own)
        for one in client.host.status()["topics"]:
            topic = one["topic"]
            if client.allows_subscribe(topic) and (
                not request.patterns or any(matches(wanted, topic) for wanted in request.patterns)
            ):
                answer.topics.add(**one)
        return answer

    # -- subscriptions -----------------------------------------------------------------------

    async def _subscribe(self, body: bytes, context: Context) -> AsyncIterator[bytes]:
        with answered(self._host, context):
            client = self._authenticate(token_of(context), origin_of(context))
            request = _parsed(pb.SubscribeRequest, body)
            self._check(client, request)
            id = secrets.token_hex(16)
            with _subscription(client.host, request) as subscription:
                one = self._open[id] = _Open(client.name, subscription)
                try:
                    yield pb.SubscribeResponse(subscription_id=id).SerializeToString()
                    while events := await subscription.receive_many(BATCH):
                        for part in _responses(events):
                            yield part
                finally:
                    del self._open[id]
            if one.is_wanted:
                raise Refused("UNAVAILABLE", "the subscription was ended by the server")

    def _check(self, client: Client, request: pb.SubscribeRequest) -> None:
        for pattern in request.patterns:
            if not client.allows_subscribe(pattern):
                raise Refused("PERMISSION_DENIED", f"{client.name} may not receive {pattern!r}")
        if not 1 <= len(request.patterns) <= PATTERNS or request.capacity > CAPACITY:
            raise ProtocolError(
                "INVALID_ARGUMENT", f"1 to {PATTERNS} patterns, at most {CAPACITY} events"
            )
        if sum(1 for one in self._open.values() if one.client == client.name) >= SUBSCRIPTIONS:
            raise Refused("RESOURCE_EXHAUSTED", f"{SUBSCRIPTIONS} subscriptions are open already")


def _parsed(kind: type[Request], body: bytes) -> Request:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise ProtocolError("INVALID_ARGUMENT", f"no {kind.DESCRIPTOR.name}: {error}") from None


def _content(request: pb.PublishRequest) -> bytes | Encoded | None:
    match request.WhichOneof("content"):
        case "data":
            return request.data
        case "payload":
            try:
                _check_json(request.payload)
            except msgspec.DecodeError as error:
                raise ProtocolError("INVALID_ARGUMENT", f"payload is no JSON: {error}") from None
            return Encoded(request.payload)
        case _:
            return None


def _subscription(host: Host, request: pb.SubscribeRequest) -> Subscription:
    qos: Any = QOS_NAMES.get(request.qos, "") if request.qos else "realtime"
    options: dict[str, Any] = {"capacity": request.capacity} if request.capacity else {}
    return host.subscribe(
        *request.patterns,
        qos=qos,
        overflow=request.overflow,
        types=tuple(request.types),
        group=request.group,
        **options,
    )


def _responses(events: list[Envelope]) -> Iterator[bytes]:
    """*events* as few messages, none of which is much longer than `LONGEST`."""
    response, size = pb.SubscribeResponse(), 0
    for event in events:
        write_event(event, response.events.add())
        size += len(event.payload)
        if size >= LONGEST:
            yield response.SerializeToString()
            response, size = pb.SubscribeResponse(), 0
    if size:
        yield response.SerializeToString()
