"""What can be asked over the control socket: one JSON object, told apart by `op`."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from loom_kernel import (
    BackpressureTimeout,
    BusClosed,
    InvalidEnvelope,
    InvalidTopic,
    NoResponders,
    RequestTimeout,
)

Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
MAX_FRAME = 1 << 20
"""Bytes of one line, in both directions."""


class _Request(msgspec.Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    pass


class Status(_Request, frozen=True, tag="status"):
    """How the runtime is."""


class Topics(_Request, frozen=True, tag="topics"):
    """The accounts of the topics that match *patterns*; all if there are none."""

    patterns: tuple[str, ...] = ()


class Publish(_Request, frozen=True, tag="publish"):
    """Publish one event."""

    topic: str
    data: Any = None
    type: str = ""
    subject: str = ""


class Ask(_Request, frozen=True, tag="request"):
    """Publish one event and wait for the first answer."""

    topic: str
    data: Any = None
    type: str = ""
    subject: str = ""
    timeout: Seconds = 5.0


class Tail(_Request, frozen=True, tag="tail"):
    """Every event that matches, from now on. Without patterns: all but those of `$` topics."""

    patterns: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    senders: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()


class Stop(_Request, frozen=True, tag="stop"):
    """Stop the runtime in order."""


Request: TypeAlias = Status | Topics | Publish | Ask | Tail | Stop
_DECODER: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)

_CODES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((InvalidTopic, InvalidEnvelope, msgspec.MsgspecError, ValueError), "INVALID_PARAMS"),
    ((RequestTimeout, BackpressureTimeout), "ACTION_TIMEOUT"),
    ((NoResponders, BusClosed), "PROVIDER_UNAVAILABLE"),
)


def decode(line: bytes) -> Request:
    """The request in *line*.

    Raises:
        ValueError: it is none; the text says why.
    """
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a request: {error}") from error


def code_of(error: Exception) -> str:
    """The error code that tells a client whose fault *error* is."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), "ACTION_ERROR")
