"""As much of HTTP/1.1 (RFC 9112) as a server of models needs, on asyncio's streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from loom.testing.models.answers import Asked

LONGEST = 64 << 20
"""Bytes of a request's body."""


class NotHttp(Exception):
    """What came is no request that can be answered."""


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    """The next request on this connection; None if it was closed.

    Raises:
        NotHttp: it cannot be read.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    try:
        path = first.split(" ")[1]
        size = int(headers.get("content-length", "0"))
        if not 0 <= size <= LONGEST:
            raise NotHttp(f"a body of {size} bytes is too long")
        body = await reader.readexactly(size)
        value = msgspec.json.decode(body) if body else {}
    except (IndexError, ValueError, msgspec.DecodeError, asyncio.IncompleteReadError) as error:
        raise NotHttp(f"not a request: {error}") from error
    return Asked(path.partition("?")[0], headers, value if isinstance(value, dict) else {})


def response(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A whole response with its *body*."""
    return _head(status, {"content-length": str(len(body)), **headers}) + body


def opening(headers: Mapping[str, str]) -> bytes:
    """The head of a response whose body comes in chunks."""
    return _head(200, {"transfer-encoding": "chunked", **headers})


def chunk(data: bytes) -> bytes:
    """One chunk; an empty one ends the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(name: str, data: Any) -> bytes:
    """One server-sent event."""
    text = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + text + b"\n\n"


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    known = {member.value: member.phrase for member in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
