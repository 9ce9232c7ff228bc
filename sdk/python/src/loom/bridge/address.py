"""Where a Loom can be reached, and with which token.

(empty) or unix:      the Loom of the current folder, or the user's: its Unix socket
unix:///path          frames on a Unix socket: the fastest way on one machine
grpc+unix:///path     gRPC on a Unix socket
host:port             gRPC over TCP, also grpc://host:port; grpcs:// with TLS
ws://host:port        WebSocket; wss:// with TLS, ws+unix:///path on a Unix socket
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from loom_kernel import LoomError, Paths, find_paths

FRAMES_SOCKET = "frames.sock"
GRPC_SOCKET = "grpc.sock"
WEBSOCKET_SOCKET = "websocket.sock"
LOCAL_TOKEN = "local.token"
LISTENS = "0A"
"""The state of a listening socket in the system's table (`man 5 proc`)."""
SCHEMES = ("unix", "grpc+unix", "grpc", "grpcs", "ws", "wss", "ws+unix")


class Address(msgspec.Struct, frozen=True):
    """One way to a Loom: a Unix socket's *path*, or *host* and *port*."""

    scheme: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path or f'{self.host}:{self.port}'}"

    @property
    def is_local(self) -> bool:
        """Whether it is a socket in the file system."""
        return bool(self.path)


def bridge_folder(paths: Paths) -> Path:
    """Where the bridge of the instance at *paths* keeps its sockets and its local token."""
    return paths.of("bridge").state


def parse_address(text: str = "") -> Address:
    """What *text* names; nothing named = this folder's Loom, else the user's.

    Raises:
        LoomError: it is none of the forms above.
    """
    if text in ("", "unix:"):
        return Address("unix", path=str(bridge_folder(_own_paths()) / FRAMES_SOCKET))
    parts = urlsplit(text if "://" in text else f"grpc://{text}")
    if parts.scheme.endswith("unix") and parts.scheme in SCHEMES and parts.path:
        return Address(parts.scheme, path=parts.path)
    try:
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        host, port = "", 0
    if parts.scheme not in SCHEMES or not host or not port:
        raise LoomError(
            f"{text!r} is no address; write unix:///path, host:port or one of "
            + ", ".join(f"{scheme}://" for scheme in SCHEMES[1:])
        )
    return Address(parts.scheme, host=host, port=port)


def find_token(address: Address, token: str = "") -> str:
    """*token*, else the one that this environment or this machine holds; empty if there is none.

    `LOOM_TOKEN` is one, `LOOM_TOKEN_FILE` names a file with one, and a Loom on this machine
    leaves one for its owner beside its sockets.
    """
    if token:
        return token
    if "LOOM_TOKEN" in os.environ:  # also an empty one: it was meant to be used
        return os.environ["LOOM_TOKEN"]
    if named := os.environ.get("LOOM_TOKEN_FILE", ""):
        return _read(Path(named).expanduser())
    if address.is_local:
        return _read(Path(address.path).parent / LOCAL_TOKEN)
    if address.host in ("127.0.0.1", "::1", "localhost") and _is_ours(address.port):
        return _read(bridge_folder(_own_paths()) / LOCAL_TOKEN)
    return ""


def _own_paths() -> Paths:
    here = Path.cwd()
    return find_paths(here if (here / "loom.toml").is_file() else None)


def _is_ours(port: int) -> bool:
    """Whether it is a process of this user that listens on *port*, where the system says so.

    Anybody on this machine may listen on a port that is free; the owner's token is not for them.
    """
    owners = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(Path(table)).splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                owners.add(int(fields[7]))
    return owners == {os.getuid()}


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
