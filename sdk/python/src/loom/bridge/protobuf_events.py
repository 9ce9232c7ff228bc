"""Events as Protocol Buffers: `loom/events/v1/events.proto`."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from loom_kernel import Envelope
from loom_proto import events_pb2 as pb
from msgspec import UNSET

_PRIORITY, _CONFIDENCE, _TTL = 50, 1.0, 16
"""What it means that they are absent."""
_NOTHING = Envelope("", "", 0.0, "")
_NO_LABELS, _NO_METADATA = _NOTHING.labels, _NOTHING.metadata
# An envelope's own parts, from which its public properties are made when somebody asks for them.
_content = attrgetter("_data", "_payload")
_rare = attrgetter(
    "subject", "content_type", "metadata", "tags", "labels", "budget", "expires", "dropped_before"
)
_stored = attrgetter("_id", "_thread_id", "_correlation_id", "_reply_to")


def write_event(event: Envelope, wire: pb.Envelope) -> None:
    """Say in *wire* all that *event* is, what can be derived too.

    Raises:
        PayloadNotSerializable: the data has no JSON form.
    """
    # The properties would write out the id once for each that follows from it.
    id, thread, correlation, reply_to = _stored(event)
    if not id:
        id = event.id
    if not thread:
        thread = id
    wire.id = id
    wire.type = event.type
    wire.source = event.source
    wire.time = event.time
    wire.topic = event.topic
    wire.thread_id = thread
    wire.correlation_id = correlation or thread
    wire.reply_to = reply_to or f"thread.{thread}.reply"
    wire.traceparent = event.traceparent
    wire.priority = event.priority
    wire.confidence = event.confidence
    wire.ttl = event.ttl
    wire.sender = event.sender
    data, payload = _content(event)
    if isinstance(data, bytes):
        wire.binary = True
        wire.payload = data
    else:
        wire.payload = payload or event.payload
    if cause := event.causation_id:
        wire.causation_id = cause
    if hop := event.hop:
        wire.hop = hop
    _write_rare(event, wire)


def _write_rare(event: Envelope, wire: pb.Envelope) -> None:
    subject, content_type, metadata, tags, labels, budget, expires, lost = _rare(event)
    if subject:
        wire.subject = subject
    if content_type:
        wire.content_type = content_type
    if metadata:
        wire.metadata.update(metadata)
    if tags:
        wire.tags.extend(tags)
    if labels:
        wire.labels.extend(sorted(labels))
    if budget is not None:
        wire.budget.SetInParent()
        wire.budget.amounts.update(budget)
    if expires:
        wire.expires = expires
    if lost:
        wire.dropped_before = lost


def read_event(wire: pb.Envelope) -> Envelope:
    """The event that *wire* is. Its number is read out of its id."""
    payload: Any = wire.payload
    data: Any = UNSET
    if wire.binary:
        data, payload = payload, b""
    elif not payload:
        data = None
    id, has = wire.id, wire.HasField
    labels, metadata, tags = wire.labels, wire.metadata, wire.tags
    return Envelope(
        type=wire.type or wire.topic,
        source=wire.source,
        time=wire.time,
        topic=wire.topic,
        _data=data,
        sender=wire.sender,
        number=_number(id),
        subject=wire.subject,
        causation_id=wire.causation_id,
        ttl=wire.ttl if has("ttl") else _TTL,
        hop=wire.hop,
        labels=frozenset(labels) if labels else _NO_LABELS,
        budget=dict(wire.budget.amounts) if has("budget") else None,
        content_type=wire.content_type,
        metadata=dict(metadata) if metadata else _NO_METADATA,
        tags=tuple(tags) if tags else (),
        priority=wire.priority if has("priority") else _PRIORITY,
        confidence=wire.confidence if has("confidence") else _CONFIDENCE,
        expires=wire.expires,
        dropped_before=wire.dropped_before,
        _payload=payload,
        _id=id,
        _thread_id=wire.thread_id,
        _correlation_id=wire.correlation_id,
        _reply_to=wire.reply_to,
        _trace=wire.traceparent,
    )


def _number(id: str) -> int:
    """The low 62 bits of a UUID; 0 if *id* is none."""
    try:
        return int(id[19:23] + id[24:], 16) & (1 << 62) - 1
    except ValueError:
        return 0
