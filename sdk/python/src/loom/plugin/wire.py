"""What the two ends of `PluginService` say to each other, as its messages and as Loom's records."""

from __future__ import annotations

from typing import Any

import msgspec
from loom_proto import plugin_pb2 as pb

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
from loom.plugin.authoring import TYPES, Emission

__all__ = [
    "pb", "read_call", "read_descriptor", "read_emission", "read_event", "read_json",
    "read_result", "read_types", "write_call", "write_descriptor", "write_emission",
    "write_event", "write_result", "write_types",
]  # fmt: skip

_PRIORITY, _CONFIDENCE = 50, 1.0
_to_json = msgspec.json.Encoder().encode


def write_types(types: tuple[str, ...]) -> list[Any]:
    """The protocol's numbers of *types*."""
    return [TYPES.index(type) + 1 for type in types]


def read_types(numbers: Any) -> tuple[str, ...]:
    """The names of *numbers*; those of a later version, which mean nothing here, are left out."""
    return tuple(TYPES[number - 1] for number in numbers if 0 < number <= len(TYPES))


def write_emission(emission: Emission, wire: pb.Emission) -> None:
    """Say in *wire* what *emission* says."""
    wire.topic, wire.type, wire.subject = emission.topic, emission.type, emission.subject
    if isinstance(emission.data, bytes):
        wire.data = emission.data
    else:
        wire.payload = _to_json(emission.data)
    wire.metadata.update(emission.metadata)
    wire.tags.extend(emission.tags)
    wire.priority, wire.confidence = emission.priority, emission.confidence


def read_emission(wire: pb.Emission) -> Emission:
    """What *wire* says.

    Raises:
        ValueError: its payload is no JSON.
    """
    is_binary = wire.WhichOneof("content") == "data"
    return Emission(
        topic=wire.topic,
        data=wire.data if is_binary else read_json(wire.payload, Any, None),
        type=wire.type,
        subject=wire.subject,
        metadata=dict(wire.metadata),
        tags=tuple(wire.tags),
        priority=wire.priority if wire.HasField("priority") else _PRIORITY,
        confidence=wire.confidence if wire.HasField("confidence") else _CONFIDENCE,
    )
