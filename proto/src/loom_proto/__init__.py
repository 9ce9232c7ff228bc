"""Loom's protocols on the wire: Protocol Buffers, as the files below `proto/loom` describe them.

`encode` and `decode` turn an envelope's JSON object into its message and back. The generated code
of the other files is here as `bridge_pb2`, `pubsub_pb2` and so on, imported when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom_proto.record import InvalidMessage, Record, decode, encode

if TYPE_CHECKING:
    from loom_proto.bridge.v1 import bridge_pb2, pubsub_pb2
    from loom_proto.events.v1 import events_pb2
    from loom_proto.memory.v1 import memory_pb2
    from loom_proto.plugin.v1 import plugin_pb2
    from loom_proto.tools.v1 import tools_pb2

_AREAS = {
    "bridge_pb2": "bridge.v1",
    "events_pb2": "events.v1",
    "memory_pb2": "memory.v1",
    "plugin_pb2": "plugin.v1",
    "pubsub_pb2": "bridge.v1",
    "tools_pb2": "tools.v1",
}


def __getattr__(name: str) -> Any:
    if name not in _AREAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = globals()[name] = import_module(f"{__name__}.{_AREAS[name]}.{name}")
    return module


__all__ = [
    "InvalidMessage",
    "Record",
    "bridge_pb2",
    "decode",
    "encode",
    "events_pb2",
    "memory_pb2",
    "plugin_pb2",
    "pubsub_pb2",
    "tools_pb2",
]
