"""Frames as JSON text, as WebSocket carries them: for whoever has nothing but a JSON library.

A frame is the JSON object of its struct in `loom.bridge.messages`, `kind` and all, with three
differences. An event is the object of docs/reference/envelope.md, and the number by which it is
acknowledged stands beside it. A published event has its value as `data`, or its octets in base64
as `data_base64`. Arguments and outputs of tools are plain values. Names that nobody knows are
passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import msgspec
from loom_kernel import Envelope
from msgspec import UNSET, Raw, UnsetType

from loom.bridge.errors import ProtocolError
from loom.bridge.messages import (
    Ack,
    Bye,
    Call,
    Cancel,
    ClientFrame,
    ClientMessage,
    Deliver,
    Failure,
    Fields,
    Hello,
    Message,
    Offer,
    Publish,
    Report,
    Result,
    ServerFrame,
    ServerMessage,
    Settle,
    Subscribe,
    Taken,
    Unsubscribe,
    Welcome,
)

__all__ = ["TextEvent", "decode_client", "decode_server", "encode_client", "encode_server"]

T = TypeVar("T")
_content = attrgetter("_data", "_payload")
_json = msgspec.json.Decoder(Raw).decode


class TextPublish(Message, tag="publish"):
    """`Publish`, with its value or its octets where a person would write them."""

    topic: str
    data: Raw | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET
    type: str = ""
    cause: int = 0
    confirm: bool = False
    fields: Fields | None = None


class TextEvent(msgspec.Struct, kw_only=True):
    """An envelope under its public names, all of them."""

    id: str
    type: str
    source: str
    time: float
    ts: int = 0
    topic: str
    subject: str = ""
    data: Raw | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET
    content_type: str = ""
    metadata: dict[str, str] = {}
    tags: tuple[str, ...] = ()
    priority: int = 50
    confidence: float = 1.0
    thread_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    sender: str = ""
    reply_to: str = ""
    ttl: int = 16
    hop: int = 0
    traceparent: str = ""
    labels: tuple[str, ...] = ()
    budget: dict[str, float] | None = None
    expires: float = 0.0
    dropped_before: int = 0


class TextDeliver(Message, tag="deliver"):
    """`Deliver`, with an event under its public names."""

    sub: int
    event: TextEvent
    number: int = 0
    again: bool = False


TextClientMessage: TypeAlias = (
    Hello | Subscribe | Unsubscribe | TextPublish | Ack | Settle | Offer | Call | Result | Cancel
    | Report | Bye
)  # fmt: skip
TextServerMessage: TypeAlias = Welcome | TextDeliver | Call | Result | Cancel | Taken | Failure


class TextClientFrame(msgspec.Struct, omit_defaults=True):
    """`ClientFrame` as text has it."""

    first: int = 0
    seen: int = 0
    messages: list[TextClientMessage] = []


class TextServerFrame(msgspec.Struct, omit_defaults=True):
    """`ServerFrame` as text has it."""

    first: int = 0
    seen: int = 0
    messages: list[TextServerMessage] = []


_encode = msgspec.json.Encoder().encode
_CLIENT = msgspec.json.Decoder(TextClientFrame)
_SERVER = msgspec.json.Decoder(TextServerFrame)


def encode_client(frame: ClientFrame) -> bytes:
    """*frame* as JSON.

    Raises:
        ProtocolError: it holds what has no JSON form.
    """
    messages: list[TextClientMessage] = [
        _write_publish(one) if isinstance(one, Publish) else one for one in frame.messages
    ]
    return _written(TextClientFrame(frame.first, frame.seen, messages))


def encode_server(frame: ServerFrame) -> bytes:
    """*frame* as JSON; see `encode_client`."""
    messages: list[TextServerMessage] = [
        _write_deliver(one) if isinstance(one, Deliver) else one for one in frame.messages
    ]
    return _written(TextServerFrame(frame.first, frame.seen, messages))


def decode_client(body: bytes | str) -> ClientFrame:
    """What a client sent.

    Raises:
        ProtocolError: it is no frame of a client; the text names the field.
    """
    found = _read(_CLIENT.decode, body, "client")
    messages: list[ClientMessage] = [
        _read_publish(one) if isinstance(one, TextPublish) else one for one in found.messages
    ]
    return ClientFrame(found.first, found.seen, messages)


def decode_server(body: bytes | str) -> ServerFrame:
    """What a server sent; see `decode_client`."""
    found = _read(_SERVER.decode, body, "server")
    messages: list[ServerMessage] = [
        _read_deliver(one) if isinstance(one, TextDeliver) else one for one in found.messages
    ]
    return ServerFrame(found.first, found.seen, messages)


def _written(frame: TextClientFrame | TextServerFrame) -> bytes:
    try:
        return _encode(frame)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise ProtocolError("INVALID_ARGUMENT", f"this cannot be sent as JSON: {error}") from None


def _read(decode: Callable[[bytes | str], T], body: bytes | str, end: str) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError("INVALID_ARGUMENT", f"not a {end}'s frame: {error}") from None


# -- events -----------------------------------------------------------------------------------


def _write_publish(message: Publish) -> TextPublish:
    octets = message.data
    data: Raw | UnsetType = UNSET
    if isinstance(message.payload, bytes) and (data := _raw(message.payload)) is UNSET:
        # Text that is no JSON would spoil the frame; an event with both is all that is refused.
        data, octets = Raw(b"null"), message.payload
    return TextPublish(
        message.topic, data, octets, message.type, message.cause, message.confirm, message.fields
    )


def _read_publish(message: TextPublish) -> Publish:
    data, octets = message.data, message.data_base64
    if data is UNSET and octets is UNSET:
        data = Raw(b"null")  # who publishes nothing publishes nothing in particular
    return Publish(
        message.topic,
        UNSET if isinstance(data, UnsetType) else bytes(data),
        octets,
        message.type,
        message.cause,
        message.confirm,
        message.fields,
    )


def _write_deliver(message: Deliver) -> TextDeliver:
    event = message.event
    number = message.number or event.delivery
    return TextDeliver(message.sub, _write_event(event), number, message.again)


def _read_deliver(message: TextDeliver) -> Deliver:
    return Deliver(message.sub, _read_event(message.event), message.number, message.again)


def _write_event(event: Envelope) -> TextEvent:
    value, payload = _content(event)
    octets: bytes | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    if isinstance(value, bytes):
        octets = value
    elif (data := _raw(payload or event.payload)) is UNSET:
        octets = event.payload
    return TextEvent(
        id=event.id,
        type=event.type,
        source=event.source,
        time=event.time,
        ts=event.ts,
        topic=event.topic,
        subject=event.subject,
        data=data,
        data_base64=octets,
        content_type=event.content_type,
        metadata=dict(event.metadata),
        tags=event.tags,
        priority=event.priority,
        confidence=event.confidence,
        thread_id=event.thread_id,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        sender=event.sender,
        reply_to=event.reply_to,
        ttl=event.ttl,
        hop=event.hop,
        traceparent=event.traceparent,
        labels=tuple(sorted(event.labels)),
        budget=None if event.budget is None else dict(event.budget),
        expires=event.expires,
        dropped_before=event.dropped_before,
    )


def _read_event(text: TextEvent) -> Envelope:
    octets = text.data_base64
    payload = b"" if isinstance(text.data, UnsetType) else bytes(text.data)
    value: Any = octets if isinstance(octets, bytes) else UNSET if payload else None
    return Envelope(
        type=text.type,
        source=text.source,
        time=text.time,
        topic=text.topic,
        _data=value,
        sender=text.sender,
        number=_number(text.id),
        subject=text.subject,
        causation_id=text.causation_id,
        ttl=text.ttl,
        hop=text.hop,
        labels=frozenset(text.labels),
        budget=text.budget,
        content_type=text.content_type,
        metadata=text.metadata,
        tags=text.tags,
        priority=text.priority,
        confidence=text.confidence,
        expires=text.expires,
        dropped_before=text.dropped_before,
        _payload=payload,
        _id=text.id,
        _thread_id=text.thread_id,
        _correlation_id=text.correlation_id,
        _reply_to=text.reply_to,
        _trace=text.traceparent,
    )


def _raw(payload: bytes) -> Raw | UnsetType:
    """*payload* as it is, if it is JSON."""
    try:
        if not payload.isascii():
            payload.decode()
        return _json(payload)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return UNSET


def _number(id: str) -> int:
    """The low 62 bits of a UUID; 0 if *id* is none."""
    try:
        return int(id[19:23] + id[24:], 16) & (1 << 62) - 1
    except ValueError:
        return 0
