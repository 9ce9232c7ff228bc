"""The Unix socket on which frames come, for the owner of the state folder only."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

from loom.bridge import FramesCarrier, Peer, server_side
from loom.bridge.messages import ClientFrame, ServerFrame
from loom.sockets import reachable
from loom_kernel import LoomError, private_dir

from loom_plugin_bridge.door import Door

BACKLOG = 512


class FramesListener:
    """Listens on *path* until `aclose`."""

    def __init__(self, door: Door, path: Path) -> None:
        self._door = door
        self._path = path
        self._server: asyncio.Server | None = None
        self._carriers: set[FramesCarrier] = set()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            LoomError, ConfigError: the socket cannot be there.
        """
        private_dir(self._path.parent)
        loop = asyncio.get_running_loop()
        ours = listen(self._path, BACKLOG)
        self._server = await loop.create_unix_server(lambda: server_side(self._answer), sock=ours)

    def _answer(self, carrier: FramesCarrier) -> Peer[ClientFrame, ServerFrame]:
        return self._door.answer(carrier, "unix")

    async def aclose(self) -> None:
        """Listen no more; the connections end with their sessions."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)


def listen(path: Path, backlog: int) -> socket.socket:
    """A socket that listens on *path*, 0600; what a dead instance left there is replaced.

    The runtime's lock on its state folder is held, so no living one listens there.

    Raises:
        LoomError: something that is no socket is in the way.
    """
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise LoomError(f"{path} is in the way of the bridge's socket; remove it")
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(server.fileno(), 0o600)  # becomes the mode of the name: never open to others
        with reachable(path) as name:
            server.bind(name)
        path.chmod(0o600)
        server.listen(backlog)
    except BaseException:
        server.close()
        raise
    return server
