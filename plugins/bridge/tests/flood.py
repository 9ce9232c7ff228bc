"""A stranger who floods the sockets of a bridge, in a process of its own: `flood.py KIND FOLDER`.

It writes a line when it has begun to do its worst, and goes on until its input ends.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

AT_ONCE = 1000
"""Connections that it holds; what is closed at the other end, it opens anew."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def http2(kind: int, stream: int, body: bytes, flags: int = 0) -> bytes:
    size = struct.pack(">I", len(body))[1:]
    return size + bytes([kind, flags]) + struct.pack(">I", stream) + body


def rapid_resets() -> bytes:
    """Streams that are opened and given up, 500 of them."""
    head = b"\x83\x86\x44\x0a/a/Session\x41\x01x"
    streams = (
        http2(1, 2 * n + 1, head, 4) + http2(3, 2 * n + 1, b"\0\0\0\x08") for n in range(500)
    )
    return PREFACE + SETTINGS + b"".join(streams)


CONTINUED = http2(1, 1, b"\x83") + http2(9, 1, bytes(9)) * 900


def noise() -> bytes:
    return os.urandom(200)


BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "idle": ("frames.sock", lambda: b""),
    "partial": ("frames.sock", lambda: struct.pack(">I", 60_000) + b"x" * 30_000),
    "two GiB": ("frames.sock", lambda: struct.pack(">I", 2 << 30)),
    "noise": ("frames.sock", noise),
    "idle pages": ("websocket.sock", lambda: b"GET /bri"),
    "noise to pages": ("websocket.sock", noise),
    "idle gRPC": ("grpc.sock", lambda: b""),
    "noise to gRPC": ("grpc.sock", noise),
    "settings": ("grpc.sock", lambda: PREFACE + SETTINGS * 2000),
    "continuation": ("grpc.sock", lambda: PREFACE + SETTINGS + CONTINUED),
    "rapid resets": ("grpc.sock", rapid_resets),
}  # fmt: skip


def connections(path: str, body: Callable[[], bytes]) -> Iterator[socket.socket]:
    while True:
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(0.05)
        with suppress(OSError):  # it is let wait, or was sent away already: both are to be seen
            one.connect(path)
            one.sendall(body())
        yield one


def main(kind: str, folder: str) -> None:
    name, body = BODIES[kind]
    held: deque[socket.socket] = deque()
    for number, one in enumerate(connections(f"{folder}/{name}", body)):
        held.append(one)
        if len(held) > AT_ONCE:
            held.popleft().close()
        if number == AT_ONCE // 2:
            print("worst", flush=True)
        if select.select([sys.stdin], [], [], 0.001)[0]:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
