"""Frames as Protocol Buffers, which the gRPC carrier moves: `loom/bridge/v1/bridge.proto`.

What stands here is on the path of every event and is written for what it costs: what has its
default is not set, and what is looked up is bound once. Between two ends that both know
MessagePack, a frame may travel in it, as one field of bytes: see `pack`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import msgspec
from google.protobuf.message import DecodeError
from loom_proto import bridge_pb2 as pb
from msgspec import UNSET

from loom.bridge import codec
from loom.bridge.errors import ProtocolError
from loom.bridge.messages import (
    Ack,
    Bye,
    Call,
    Cancel,
    ClientFrame,
    Deliver,
    Failure,
    FailureCode,
    Fields,
    Hello,
    Offer,
    Publish,
    Report,
    Result,
    ServerFrame,
    Settle,
    Subscribe,
    Taken,
    Unsubscribe,
    Welcome,
)
from loom.bridge.protobuf_endings import read_ack, read_settle, write_ack, write_settle
from loom.bridge.protobuf_events import read_event, write_event
from loom.bridge.protobuf_tools import (
    read_call,
    read_descriptor,
    read_json,
    read_result,
    write_call,
    write_descriptor,
    write_result,
)

F = TypeVar("F", ClientFrame, ServerFrame)

_PACKED = pb.SessionResponse(packed=b"\0").SerializeToString()[
    :1
]  # the field's tag, the same both ways

QOS: dict[str, Any] = {"realtime": 1, "batched": 2, "background": 3}
QOS_NAMES: dict[int, Any] = dict(zip(QOS.values(), QOS, strict=True)) | {0: "batched"}
CODES: dict[str, Any] = {
    name: pb.FailureCode.Value(f"FAILURE_CODE_{name}") for name in get_args(FailureCode)
}
_CODE_NAMES = dict(zip(CODES.values(), CODES, strict=True))
_SCALARS = (
    "subject", "priority", "confidence", "content_type", "reply_to", "thread_id",
    "correlation_id", "ttl", "expires",
)  # fmt: skip


def encode_client(frame: ClientFrame) -> bytes:
    """*frame* as a serialized SessionRequest.

    Raises:
        ProtocolError: a value has no place in its field.
    """
    return _encode(frame, pb.SessionRequest(), _WRITE_CLIENT)


def encode_server(frame: ServerFrame) -> bytes:
    """*frame* as a serialized SessionResponse; see `encode_client`."""
    return _encode(frame, pb.SessionResponse(), _WRITE_SERVER)


def pack(frame: ClientFrame | ServerFrame) -> bytes:
    """*frame* as a serialized SessionRequest or SessionResponse whose only field is `packed`.

    A Python client and server understand each other so, at a tenth of the cost.
    """
    body = codec.encode(frame)
    size, head = len(body), bytearray(_PACKED)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + body


def is_packed(body: bytes) -> bool:
    """Whether *body* is what `pack` makes."""
    return body[:1] == _PACKED


def decode_client(body: bytes) -> ClientFrame:
    """What a client sent, packed or not.

    Raises:
        ProtocolError: it is no frame of a client; the text says why.
    """
    if body[:1] == _PACKED:
        return codec.decode_client(_unpack(body))
    return _decode(body, pb.SessionRequest, ClientFrame, _READ_CLIENT)


def decode_server(body: bytes) -> ServerFrame:
    """What a server sent; see `decode_client`."""
    if body[:1] == _PACKED:
        return codec.decode_server(_unpack(body))
    return _decode(body, pb.SessionResponse, ServerFrame, _READ_SERVER)


def _unpack(body: bytes) -> memoryview:
    """The packed frame within *body*, where nothing else may be."""
    at, size, shift = 1, 0, 0
    while shift < 35 and at < len(body):
        size |= (body[at] & 127) << shift
        shift += 7
        at += 1
        if body[at - 1] < 128 and at + size == len(body):
            return memoryview(body)[at:]
        if body[at - 1] < 128:
            break
    raise ProtocolError("INVALID_ARGUMENT", "not a frame: more than `packed`, or cut off")


def _encode(frame: Any, wire: Any, writers: dict[type, Callable[[Any, Any], None]]) -> bytes:
    try:
        if frame.first:
            wire.first = frame.first
        if frame.seen:
            wire.seen = frame.seen
        add = wire.messages.add
        for message in frame.messages:
            writers[type(message)](message, add())
        encoded: bytes = wire.SerializeToString()
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ProtocolError("INVALID_ARGUMENT", f"cannot be sent: {error}") from error
    return encoded


def _decode(
    body: bytes, wire: Any, frame: type[F], readers: Mapping[str | None, Callable[[Any], Any]]
) -> F:
    try:
        found = wire.FromString(body)
        messages = [readers[one.WhichOneof("kind")](one) for one in found.messages]
        return frame(found.first, found.seen, messages)
    except KeyError as error:
        raise ProtocolError("INVALID_ARGUMENT", f"unknown kind or value {error}") from None
    except (DecodeError, ValueError, TypeError, RecursionError) as error:
        raise ProtocolError("INVALID_ARGUMENT", f"not a frame: {error}") from None


# -- from the client --------------------------------------------------------------------------


def _write_hello(message: Hello, slot: pb.ClientMessage) -> None:
    hello = slot.hello
    hello.token, hello.agent = message.token, message.agent
    hello.protocol, hello.software = message.protocol, message.software
    hello.session, hello.key, hello.seen = message.session, message.key, message.seen
    hello.metadata.update(message.metadata)


def _read_hello(slot: pb.ClientMessage) -> Hello:
    hello = slot.hello
    return Hello(
        hello.token,
        hello.agent,
        hello.protocol if hello.HasField("protocol") else 1,
        hello.software,
        hello.session,
        hello.key,
        hello.seen,
        dict(hello.metadata),
    )


def _write_subscribe(message: Subscribe, slot: pb.ClientMessage) -> None:
    wanted = slot.subscribe
    wanted.sub, wanted.window, wanted.capacity = message.sub, message.window, message.capacity
    wanted.qos = QOS[message.qos]
    wanted.overflow, wanted.group = message.overflow, message.group
    wanted.patterns.extend(message.patterns)
    wanted.types.extend(message.types)


def _read_subscribe(slot: pb.ClientMessage) -> Subscribe:
    wanted = slot.subscribe
    return Subscribe(
        wanted.sub,
        tuple(wanted.patterns),
        QOS_NAMES[wanted.qos],
        wanted.overflow,
        wanted.capacity,
        tuple(wanted.types),
        wanted.group,
        wanted.window if wanted.HasField("window") else 256,
    )


def _write_unsubscribe(message: Unsubscribe, slot: pb.ClientMessage) -> None:
    slot.unsubscribe.sub = message.sub
    slot.unsubscribe.patterns.extend(message.patterns)


def _read_unsubscribe(slot: pb.ClientMessage) -> Unsubscribe:
    return Unsubscribe(slot.unsubscribe.sub, tuple(slot.unsubscribe.patterns))


def _write_publish(message: Publish, slot: pb.ClientMessage) -> None:
    event = slot.publish
    event.topic = message.topic
    if message.payload is not UNSET:
        event.payload = message.payload
    elif message.data is not UNSET:
        event.data = message.data
    if message.type:
        event.type = message.type
    if message.cause:
        event.cause = message.cause
    if message.confirm:
        event.confirm = True
    if message.fields is not None:
        _write_fields(message.fields, event.fields)


def _read_publish(slot: pb.ClientMessage) -> Publish:
    event = slot.publish
    payload: Any = event.payload
    data: Any = UNSET
    if not payload:
        content = event.WhichOneof("content")
        if content != "payload":
            payload = UNSET
            data = event.data if content else UNSET
    return Publish(
        event.topic,
        payload,
        data,
        event.type,
        event.cause,
        event.confirm,
        read_fields(event.fields) if event.HasField("fields") else None,
    )


def _write_fields(fields: Mapping[str, Any], wire: pb.PublishFields) -> None:
    wire.SetInParent()
    for name, value in fields.items():
        if name == "budget":
            wire.budget.amounts.update(value)
            wire.budget.SetInParent()
        elif name in ("tags", "labels"):
            getattr(wire, name).extend(value)
        elif name == "metadata":
            wire.metadata.update(value)
        else:
            setattr(wire, name, value)


def read_fields(wire: pb.PublishFields) -> Fields:
    """What an author set; numbers are finite."""
    fields: dict[str, Any] = {n: getattr(wire, n) for n in _SCALARS if wire.HasField(n)}
    if wire.HasField("budget"):
        fields["budget"] = dict(wire.budget.amounts)
    for name in ("tags", "labels"):
        if found := list(getattr(wire, name)):
            fields[name] = found
    if wire.metadata:
        fields["metadata"] = dict(wire.metadata)
    for number in (wire.confidence, wire.expires, *wire.budget.amounts.values()):
        if number - number != 0:  # infinite, or not a number
            raise ValueError(f"{number} among the fields of an event")
    return fields  # type: ignore[return-value]  # the message has the names and types of Fields


def _write_offer(message: Offer, slot: pb.ClientMessage) -> None:
    slot.offer.SetInParent()
    for tool in message.tools:
        write_descriptor(tool, slot.offer.tools.add())


def _read_offer(slot: pb.ClientMessage) -> Offer:
    return Offer(tuple(read_descriptor(tool) for tool in slot.offer.tools))


def _write_report(message: Report, slot: pb.ClientMessage) -> None:
    slot.report.about = message.about
    slot.report.details = msgspec.json.encode(message.details)


def _read_report(slot: pb.ClientMessage) -> Report:
    about = slot.report.about
    if about not in ("error", "request.timed_out"):
        raise ValueError(f"a report about {about!r}")
    return Report(about, read_json(slot.report.details, dict[str, Any], {}))  # type: ignore[arg-type]  # it is


def _write_bye(_: Bye, slot: pb.ClientMessage) -> None:
    slot.bye.SetInParent()


# -- both ways --------------------------------------------------------------------------------


def _write_call(message: Call, slot: Any) -> None:
    slot.call.ref = message.ref
    write_call(message.call, slot.call.call)
    if message.cause:
        slot.call.cause = message.cause


def _read_call(slot: Any) -> Call:
    return Call(slot.call.ref, read_call(slot.call.call), slot.call.cause)


def _write_result(message: Result, slot: Any) -> None:
    slot.result.ref = message.ref
    write_result(message.result, slot.result.result)


def _read_result(slot: Any) -> Result:
    return Result(slot.result.ref, read_result(slot.result.result))


def _write_cancel(message: Cancel, slot: Any) -> None:
    slot.cancel.ref = message.ref


def _read_cancel(slot: Any) -> Cancel:
    return Cancel(slot.cancel.ref)


# -- from the server --------------------------------------------------------------------------


def _write_welcome(message: Welcome, slot: pb.ServerMessage) -> None:
    for name in message.__struct_fields__:
        setattr(slot.welcome, name, getattr(message, name))


def _read_welcome(slot: pb.ServerMessage) -> Welcome:
    return Welcome(*[getattr(slot.welcome, name) for name in Welcome.__struct_fields__])


def _write_deliver(message: Deliver, slot: pb.ServerMessage) -> None:
    delivery = slot.deliver
    delivery.sub = message.sub
    if message.number:
        delivery.number = message.number
    if message.again:
        delivery.again = True
    write_event(message.event, delivery.event)


def _read_deliver(slot: pb.ServerMessage) -> Deliver:
    delivery = slot.deliver
    return Deliver(delivery.sub, read_event(delivery.event), delivery.number, delivery.again)


def _write_taken(message: Taken, slot: pb.ServerMessage) -> None:
    slot.taken.about, slot.taken.count = message.about, message.count


def _read_taken(slot: pb.ServerMessage) -> Taken:
    return Taken(slot.taken.about, slot.taken.count)


def _write_failure(message: Failure, slot: pb.ServerMessage) -> None:
    failure = slot.failure
    failure.code = CODES[message.code]
    failure.message, failure.about = message.message, message.about
    failure.fatal = message.fatal
    failure.details.update(message.details)


def _read_failure(slot: pb.ServerMessage) -> Failure:
    failure = slot.failure
    code: Any = _CODE_NAMES[failure.code]
    return Failure(code, failure.message, failure.about, failure.fatal, dict(failure.details))


_BOTH: dict[type, Callable[[Any, Any], None]] = {
    Call: _write_call,
    Result: _write_result,
    Cancel: _write_cancel,
}
_WRITE_CLIENT: dict[type, Callable[[Any, Any], None]] = {
    Publish: _write_publish,
    Ack: write_ack,
    Settle: write_settle,
    Hello: _write_hello,
    Subscribe: _write_subscribe,
    Unsubscribe: _write_unsubscribe,
    Offer: _write_offer,
    Report: _write_report,
    Bye: _write_bye,
    **_BOTH,
}
_WRITE_SERVER: dict[type, Callable[[Any, Any], None]] = {
    Deliver: _write_deliver,
    Welcome: _write_welcome,
    Taken: _write_taken,
    Failure: _write_failure,
    **_BOTH,
}
_READ_BOTH: dict[str | None, Callable[[Any], Any]] = {
    "call": _read_call,
    "result": _read_result,
    "cancel": _read_cancel,
}
_READ_CLIENT: dict[str | None, Callable[[Any], Any]] = {
    "publish": _read_publish,
    "ack": read_ack,
    "settle": read_settle,
    "hello": _read_hello,
    "subscribe": _read_subscribe,
    "unsubscribe": _read_unsubscribe,
    "offer": _read_offer,
    "report": _read_report,
    "bye": lambda _: Bye(),
    **_READ_BOTH,
}
_READ_SERVER: dict[str | None, Callable[[Any], Any]] = {
    "deliver": _read_deliver,
    "welcome": _read_welcome,
    "taken": _read_taken,
    "failure": _read_failure,
    **_READ_BOTH,
}
