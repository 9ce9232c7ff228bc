"""Frames as bytes: MessagePack, which the Unix socket carries after the length of each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from loom.bridge.errors import ProtocolError
from loom.bridge.messages import (
    ClientFrame,
    Failure,
    Report,
    Result,
    ServerFrame,
)
from loom.contracts import ErrorCode, ToolFailure, ToolResult

F = TypeVar("F", ClientFrame, ServerFrame)

encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
WRONG: ErrorCode = "ACTION_ERROR"
LONGEST_VALUE = 2 << 20
"""Bytes of the arguments and of the output of a call, as JSON."""
LONGEST_REASON = 500
"""Characters of a reason that are told."""
_UNSENDABLE = (
    ProtocolError, TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError,
)  # fmt: skip
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

    What cannot be sent does not end the session, in which it would be sent again after every
    cut: a message that says so takes its place, and its number.
    """
    try:
        body = encode(frame)
        problem = f"it has {len(body)} bytes, and a frame holds {limit}"
    except _UNSENDABLE as error:
        body, problem = b"", str(error)
    if body and len(body) <= limit:
        yield body
        return
    if len(frame.messages) == 1:
        instead = _instead(frame.messages[0], problem, is_client=isinstance(frame, ClientFrame))
        yield encode(type(frame)(frame.first, frame.seen, [instead]))
        return
    half = len(frame.messages) // 2
    front, back = frame.messages[:half], frame.messages[half:]
    yield from encoded(type(frame)(frame.first, frame.seen, front), encode, limit)
    second = frame.first + half if frame.first else 0  # 0 = the one after the last
    yield from encoded(type(frame)(second, frame.seen, back), encode, limit)


def _instead(message: Any, problem: str, *, is_client: bool) -> Any:
    """What is said instead of *message*, which cannot be sent."""
    what = f"a {type(message).__name__.lower()} could not be sent: {problem}"[:LONGEST_REASON]
    if isinstance(message, Result):
        return Result(
            message.ref, ToolResult(message.result.id, error=ToolFailure(what), code=WRONG)
        )
    if is_client:
        return Report("error", {"code": WRONG, "message": what})
    return Failure("RESOURCE_EXHAUSTED", what)


def problem_of(value: Any, longest: int = LONGEST_VALUE) -> str:
    """What keeps *value* from being said on every carrier; empty if nothing does."""
    try:
        size = len(msgspec.json.encode(value))
        msgspec.msgpack.encode(value)  # its integers have 64 bits
    except _UNSENDABLE as error:
        return f"it has no JSON form: {error}"
    return f"it has {size} bytes; at most {longest}" if size > longest else ""
