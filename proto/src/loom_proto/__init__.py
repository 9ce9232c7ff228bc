"""The envelope on the wire: Protocol Buffers, as `loom/events/v1/events.proto` describes them."""

from __future__ import annotations

from loom_proto.record import InvalidMessage, Record, decode, encode

__all__ = ["InvalidMessage", "Record", "decode", "encode"]
