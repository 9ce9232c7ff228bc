"""The envelope: the one record that moves through Loom, in process and on every wire.

Its first half is CloudEvents 1.0 (https://github.com/cloudevents/spec), its second half says who
caused what: thread, correlation, causation, hops, labels, budget. Names are the same in every
language. Nobody but the bus stamps the second half.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
from msgspec import UNSET

from loom_kernel.errors import InvalidEnvelope, PayloadNotSerializable

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = "application/json"
BYTES = "application/octet-stream"
MAX_HOPS = 16
NORMAL_PRIORITY = 50
NO_LABELS: frozenset[str] = frozenset()
NO_METADATA: Mapping[str, str] = MappingProxyType({})


#: Every reserved name of an envelope, the same in every language.
FIELDS = (
    "id", "type", "source", "time", "ts", "topic", "subject", "data", "content_type", "metadata",
    "tags", "priority", "confidence", "thread_id", "correlation_id", "causation_id", "sender",
    "reply_to", "ttl", "hop", "traceparent", "labels", "budget", "expires", "dropped_before",
)  # fmt: skip


class EnvelopeFields(TypedDict, total=False):
    """What an author may set when publishing; everything else is stamped."""

    subject: str
    priority: int
    confidence: float
    tags: Iterable[str]
    metadata: Mapping[str, str]
    content_type: str
    reply_to: str
    thread_id: str
    correlation_id: str
    labels: Iterable[str]
    ttl: int
    budget: Mapping[str, float]
    expires: float


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """JSON text handed in as data; nobody parses it before somebody reads the value."""

    text: bytes


class Envelope(
    msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename=lambda n: n.lstrip("_")
):
    """One event. Read-only; `data` is the value handed in, shared by all who receive it."""

    type: str
    """What kind of event this is; the topic, unless the author said otherwise."""
    source: str
    """URI reference of the producer, e.g. `loom://laptop/files`."""
    time: float
    """When it happened: UNIX seconds, UTC."""
    topic: str
    _data: Any = UNSET
    sender: str = ""
    """Who published it, as the bus knows them."""
    number: int = 0
    """What tells it from others of the same moment; `id` is made of both."""
    subject: str = ""
    """The thing the event is about: a path, a ticker, a call id."""
    causation_id: str = ""
    """Id of the event whose handling published this one."""
    ttl: int = MAX_HOPS
    """Hops left."""
    hop: int = 0
    """Hops so far."""
    labels: frozenset[str] = NO_LABELS
    """Grows along the chain of causes and never shrinks."""
    budget: Mapping[str, float] | None = None
    """What this event and all it causes may spend, by unit."""
    content_type: str = ""
    """Media type of `payload`; empty = JSON, or octets if `data` is bytes."""
    metadata: Mapping[str, str] = NO_METADATA
    tags: tuple[str, ...] = ()
    priority: int = NORMAL_PRIORITY
    """0–100; higher is delivered first within a backlog."""
    confidence: float = 1.0
    expires: float = 0.0
    """UNIX seconds after which it need not be delivered any more; 0 = never."""
    dropped_before: int = 0
    """How many envelopes this subscription lost since the one before."""
    delivery: int = 0
    """By which number a consumer in another process acknowledges it; 0 = within the process."""
    _payload: bytes = b""
    _id: str = ""
    _thread_id: str = ""
    _correlation_id: str = ""
    _reply_to: str = ""
    _trace: str = ""

    @property
    def id(self) -> str:
        """UUIDv7 text (RFC 9562): unique, and sorts by time. Written out when first asked for."""
        if not self._id:
            msgspec.structs.force_setattr(self, "_id", uuid7(self.time, self.number))
        return self._id

    @property
    def thread_id(self) -> str:
        """Groups what belongs to one conversation; an event without a cause starts its own."""
        return self._thread_id or self.id

    @property
    def correlation_id(self) -> str:
        """Ties a reply to its request; the thread, unless the author said otherwise."""
        return self._correlation_id or self.thread_id

    @property
    def ts(self) -> int:
        """`time` in whole milliseconds."""
        return int(self.time * 1000)

    @property
    def reply_to(self) -> str:
        """Where a reply goes: `thread.<thread_id>.reply`, or a request's private inbox."""
        return self._reply_to or f"thread.{self.thread_id}.reply"

    @property
    def traceparent(self) -> str:
        """W3C trace context; an event without a cause is the root of its trace."""
        return traceparent(self.id, self._trace)

    @property
    def trace_id(self) -> str:
        """The 32 hex digits that all events of one trace share."""
        return self.traceparent[3:35]

    @property
    def data(self) -> Any:
        """The value handed in; of an envelope that came as bytes it is read when first asked for.

        Raises:
            InvalidEnvelope: the text that was handed in is not JSON.
        """
        value = self._data
        if value is UNSET or type(value) is Encoded:
            value = decode_json(self.payload, self.topic)
            msgspec.structs.force_setattr(self, "_data", value)
        return value

    @property
    def payload(self) -> bytes:
        """`data` as bytes: itself if it is bytes, else JSON, written out when first asked for.

        Raises:
            PayloadNotSerializable: the data has no JSON form.
        """
        if not self._payload:
            value = self._data
            if type(value) is bytes:
                return value
            text = value.text if type(value) is Encoded else encode_json(value, self.topic)
            msgspec.structs.force_setattr(self, "_payload", text)
        return self._payload

    def packed(self) -> Envelope:
        """The same event as a boundary passes it on: its data is bytes, or JSON in `_payload`.

        Raises:
            PayloadNotSerializable: the data has no JSON form.
        """
        value = self._data
        if value is UNSET or type(value) is bytes:
            return self
        if type(value) is Encoded:
            msgspec.structs.force_setattr(self, "_payload", value.text)
            msgspec.structs.force_setattr(self, "_data", UNSET)
            return self
        return msgspec.structs.replace(self, _data=UNSET, _payload=self.payload)

    def emptied(self) -> Envelope:
        """The same event without its data."""
        return msgspec.structs.replace(self, _data=None, _payload=b"")

    def to_json(self) -> bytes:
        """The whole envelope as one JSON object, every reserved name present.

        `data` that is bytes appears as base64 under `data_base64` (CloudEvents JSON format).

        Raises:
            PayloadNotSerializable: the data has no JSON form.
        """
        record = {name: getattr(self, name) for name in FIELDS}
        if isinstance(self.data, bytes):
            record["data_base64"] = record.pop("data")
        record["labels"] = sorted(self.labels)
        record["metadata"] = dict(self.metadata)
        return encode_json(record, self.topic)


def encode_json(value: Any, topic: str = "") -> bytes:
    """*value* as strict JSON: no NaN, no unknown types.

    Raises:
        PayloadNotSerializable: it has no JSON form; *topic* names the event in the message.
    """
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise PayloadNotSerializable(topic, str(error)) from error


def decode_json(text: bytes | str, topic: str = "") -> Any:
    """The value of strict JSON *text*.

    Raises:
        InvalidEnvelope: it is not JSON, or nests too deep.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEnvelope(topic, "payload", f"is not JSON ({error})") from error


def checked_fields(topic: str, fields: EnvelopeFields) -> dict[str, Any]:
    """*fields* with their values in range and in the envelope's own types.

    Raises:
        InvalidEnvelope: names the field, the value and what it may be.
    """
    known: dict[str, Any] = dict(fields)
    if unknown := known.keys() - EnvelopeFields.__annotations__.keys():
        raise InvalidEnvelope(topic, sorted(unknown)[0], "is not a field an author can set")
    for name, (low, high) in _RANGES.items():
        if name in known and not low <= known[name] <= high:
            raise InvalidEnvelope(topic, name, f"is {known[name]!r}, must be {low:g} to {high:g}")
    if "labels" in known:
        known["labels"] = frozenset(known["labels"])
    if "tags" in known:
        known["tags"] = tuple(known["tags"])
    if "metadata" in known:
        known["metadata"] = dict(known["metadata"])
    return known


_RANGES: dict[str, tuple[float, float]] = {
    "priority": (0, 100),
    "confidence": (0.0, 1.0),
    "ttl": (1, MAX_HOPS),
}


def numbers() -> Iterator[int]:
    """Counts from a random start, far from where any other process counts (62 bits)."""
    return itertools.count(int.from_bytes(os.urandom(8), "big") >> 3)


def uuid7(time: float, number: int) -> str:
    """The UUIDv7 (RFC 9562, methods 2 and 3) of *number* at *time* (UNIX seconds)."""
    ticks = int(time * 4_096_000)
    high = (ticks >> 12) << 16 | 0x7000 | ticks & 0xFFF
    text = f"{high << 64 | 1 << 63 | number & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def traceparent(id: str, parent: str = "") -> str:
    """The W3C trace context of event *id*: in the trace of *parent*, or the root of its own.

    A root's trace id is the event's id, so nothing random is drawn for traces nobody samples.
    """
    span = f"{id[:8]}{id[9:13]}{id[15:18]}{id[19]}"
    return f"{parent[:36]}{span}{parent[-3:]}" if parent else f"00-{id.replace('-', '')}-{span}-00"
