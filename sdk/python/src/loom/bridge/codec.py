"""Frames as bytes: MessagePack, which the Unix socket carries after the length of each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from loom.bridge.errors import ProtocolError
from loom.bridge.messages import ClientFrame, ServerFrame

F = TypeVar("F", ClientFrame, ServerFrame)

encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_CLIENT = msgspec.msgpack.Decoder(ClientFrame)
_SERVER = msgspec.msgpack.Decoder(ServerFrame)


def decode_client(body: bytes | memoryview) -> ClientFrame:
    """What a client sent.

    Raises:
        ProtocolError: it is no frame of a client; the text names the field.
    """
    try:
        return _CLIENT.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError("INVALID_ARGUMENT", f"not a client's frame: {error}") from None


def decode_server(body: bytes | memoryview) -> ServerFrame:
    """What a server sent; see `decode_client`."""
    try:
        return _SERVER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError("INVALID_ARGUMENT", f"not a server's frame: {error}") from None


def encoded(frame: F, encode: Callable[[F], bytes], limit: int) -> Iterator[bytes]:
    """*frame* as bytes; as several frames if it would be longer than *limit*.

    Raises:
        ProtocolError: one message alone is too long.
    """
    body = encode(frame)
    if len(body) <= limit:
        yield body
        return
    if len(frame.messages) == 1:
        raise ProtocolError(
            "RESOURCE_EXHAUSTED", f"a message of {len(body)} bytes; a frame holds {limit}"
        )
    half = len(frame.messages) // 2
    front, back = frame.messages[:half], frame.messages[half:]
    yield from encoded(type(frame)(frame.first, frame.seen, front), encode, limit)
    second = frame.first + half if frame.first else 0  # 0 = the one after the last
    yield from encoded(type(frame)(second, frame.seen, back), encode, limit)
