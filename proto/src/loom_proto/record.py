"""An envelope's two forms outside a process: the JSON object, and the message that says it."""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from loom_proto.events.v1.events_pb2 import Envelope

#: The JSON object of an envelope: every reserved name and its value.
Record = dict[str, Any]

_MADE = {"ts", "data", "data_base64"}  # in the record only: made from `time` and `payload`
_SENT = {field.name for field in Envelope.DESCRIPTOR.fields} - {"payload", "binary"}
_ABSENT = {"priority": 50, "confidence": 1.0, "ttl": 16}


class InvalidMessage(ValueError):
    """What was handed in is not an envelope; the text says which part and why."""


def encode(record: Mapping[str, Any]) -> bytes:
    """Return the message that says what the JSON object *record* says.

    The same record is always the same bytes. A name that is missing takes its default, and `ts`
    is not read: it follows from `time`.

    Raises:
        InvalidMessage: a name is not reserved, or a value is not of its field's type or range.
    """
    if strange := record.keys() - _SENT - _MADE:
        raise InvalidMessage(f"{min(strange)!r} is not a name of an envelope's field")
    fields = {name: record[name] for name in record.keys() - _MADE}
    if fields.get("budget") is not None:
        fields["budget"] = {"amounts": fields["budget"]}
    payload, binary = _payload(record)
    try:
        message = Envelope(**fields, payload=payload, binary=binary)
    except (TypeError, ValueError) as error:
        name = next(name for name, value in fields.items() if not _is_right(name, value))
        raise InvalidMessage(f"{name} cannot be {record[name]!r}: {error}") from error
    _refuse_infinity(message)
    return message.SerializeToString(deterministic=True)


def decode(message: bytes) -> Record:
    """Return the JSON object that says what *message* says, every reserved name present.

    A field of a newer schema has a number but no name here, so it is not in the record: whoever
    passes a message on unchanged passes on its bytes.

    Raises:
        InvalidMessage: the bytes are no such message, or its payload is not the JSON it should be.
    """
    try:
        found = Envelope.FromString(message)
        _refuse_infinity(found)
        return _record(found)
    except InvalidMessage:
        raise
    except (DecodeError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"the message is not an envelope: {error}") from error


def _record(message: Envelope) -> Record:
    return {
        "id": message.id,
        "type": message.type,
        "source": message.source,
        "time": message.time,
        "ts": int(message.time * 1000),
        "topic": message.topic,
        "subject": message.subject,
        **_data(message),
        "content_type": message.content_type,
        "metadata": dict(message.metadata),
        "tags": list(message.tags),
        "priority": _present(message, "priority"),
        "confidence": _present(message, "confidence"),
        "thread_id": message.thread_id,
        "correlation_id": message.correlation_id,
        "causation_id": message.causation_id,
        "sender": message.sender,
        "reply_to": message.reply_to,
        "ttl": _present(message, "ttl"),
        "hop": message.hop,
        "traceparent": message.traceparent,
        "labels": list(message.labels),
        "budget": dict(message.budget.amounts) if message.HasField("budget") else None,
        "expires": message.expires,
        "dropped_before": message.dropped_before,
    }


def _present(message: Envelope, name: str) -> float:
    return getattr(message, name) if message.HasField(name) else _ABSENT[name]


def _is_right(name: str, value: Any) -> bool:
    try:
        Envelope(**{name: value})
    except (TypeError, ValueError):
        return False
    return True


def _payload(record: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Return the data as bytes, and whether bytes are what it is."""
    try:
        if "data_base64" in record:
            return b64decode(record["data_base64"], validate=True), True
        value = record.get("data")
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(), False
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"the data has no form as bytes: {error}") from error


def _data(message: Envelope) -> Record:
    if message.binary:
        return {"data_base64": b64encode(message.payload).decode()}
    if not message.payload:
        return {"data": None}
    return {"data": json.loads(message.payload.decode(), parse_constant=_refuse_constant)}


def _refuse_constant(name: str) -> None:
    raise InvalidMessage(f"the payload holds {name}, which JSON does not know")


def _refuse_infinity(message: Envelope) -> None:
    """Refuse what a double can hold and the JSON object cannot."""
    numbers = {"confidence": message.confidence, "expires": message.expires}
    numbers["time in milliseconds"] = message.time * 1000
    numbers |= {f"budget of {unit}": one for unit, one in message.budget.amounts.items()}
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise InvalidMessage(f"{name} is {number}, and must be a finite number")
