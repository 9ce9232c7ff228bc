"""The control socket's address, whatever the length of its path, and whose the other end is."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

from loom_kernel import AlreadyRunning, LoomError

from loom.sockets import reachable

_CREDENTIALS = struct.Struct("iII")


def connect(path: Path, seconds: float) -> socket.socket:
    """Connect to the instance that listens on *path*.

    Raises:
        OSError: nobody does.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(seconds)
    try:
        with reachable(path) as name:
            client.connect(name)
    except BaseException:
        client.close()
        raise
    return client


def listen(path: Path, backlog: int) -> socket.socket:
    """Listen on *path*, for its owner only; what a dead instance left there is replaced.

    Raises:
        AlreadyRunning: a living instance listens there.
        LoomError: something else is there.
    """
    _clear(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # On Linux the mode of the descriptor becomes the mode of the name, so that there is no
        # moment in which others could connect; elsewhere the folder's 0700 bridges that moment.
        os.fchmod(server.fileno(), 0o600)
        with reachable(path) as name:
            server.bind(name)
        path.chmod(0o600)
        server.listen(backlog)
    except BaseException:
        server.close()
        raise
    return server


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end, as the operating system knows them; -1 where it does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return -1
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise LoomError(f"{path} is in the way of the control socket; remove it")
    try:
        connect(path, 1.0).close()
    except OSError:
        path.unlink(missing_ok=True)
    else:
        raise AlreadyRunning(path.parent, 0)
