"""Frames between the plugin and a worker: a head in JSON and a body of plain bytes.

Both lengths come first, as two big-endian 32-bit numbers.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO

_encode = json.JSONEncoder(separators=(",", ":")).encode
LENGTHS = struct.Struct(">II")
OUTPUT = 1
"""The descriptor that frames go out on."""
LONGEST_HEAD = 1 << 21
"""Bytes; a report on a module with very many imports is the longest."""


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """The frame of *head* and *body*."""
    text = _encode(head).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


def send(head: dict[str, Any], body: bytes = b"") -> None:
    """Write the frame of *head* and *body* to the plugin, as a whole."""
    frame = memoryview(pack(head, body))
    while frame:
        frame = frame[os.write(OUTPUT, frame) :]


def receive(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next frame of *stream*; None at its end."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    text = stream.read(head)
    content = stream.read(body)
    return (json.loads(text), content) if len(content) == body else None
