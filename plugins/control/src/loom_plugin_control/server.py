"""The control socket: whoever owns the state folder may ask, everybody else is shown the door.

One request a connection; README.md describes every line that goes over it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.instance import listen, peer_uid
from loom_kernel import Health, Host, LoomError, encode_json, private_dir

from loom_plugin_control.operations import Answer, Operations
from loom_plugin_control.requests import MAX_FRAME, code_of, decode

CONNECTIONS = 64
PATIENCE = 5.0
"""Seconds that a client has to send its request."""
FAREWELL = 1.0
"""Seconds that clients have at the end to read what was written to them."""


class ControlServer:
    """Listens in the state folder for *owner* (a user id; ours, unless said otherwise)."""

    def __init__(self, host: Host, *, owner: int | None = None, patience: float = PATIENCE) -> None:
        self._host = host
        self._path = host.world.paths.socket
        self._owner = os.getuid() if owner is None else owner
        self._patience = patience
        self._operations = Operations(host)
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._refused = 0
        self._server: asyncio.Server | None = None
        self._identity = (0, 0)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            AlreadyRunning, LoomError, ConfigError: the socket cannot be there.
        """
        private_dir(self._path.parent)
        ours = listen(self._path, backlog=2 * CONNECTIONS)
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._server = await asyncio.start_unix_server(self._accept, sock=ours, limit=MAX_FRAME)

    def health(self) -> Health:
        """How many are connected now, and how many were sent away."""
        return Health(
            metrics={
                "connections": len(self._connections),
                "tails": len(self._operations.taps),
                "refused": self._refused,
            }
        )

    async def aclose(self) -> None:
        """Stop listening, tell who watches, and cut off whoever does not read it."""
        if self._server is None:
            return
        self._server.close()
        self._unlink()
        self._operations.close("stopped")
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=FAREWELL)
        for writer in list(self._connections):
            writer.transport.abort()

    def _unlink(self) -> None:
        """Remove the socket, unless it is not ours any more."""
        try:
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()
        except OSError as error:
            self._host.log.warning("%s was not removed: %s", self._path, error)

    # -- connections -------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in (self._owner, -1):
            self._refused += 1
            self._host.log.warning("user %d was refused at the control socket", uid)
            writer.transport.abort()
        elif len(self._connections) >= CONNECTIONS:
            self._refused += 1
            problem = f"{CONNECTIONS} connections are open already; close one and try again"
            writer.write(_error_line("PROVIDER_UNAVAILABLE", problem))
            writer.close()
        else:
            task = self._host.spawn(self._serve(reader, writer), "connection")
            self._connections[writer] = task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
            await writer.drain()
        except ConnectionError as error:
            self._host.log.debug("a client left: %s", error)
        finally:
            self._connections.pop(writer, None)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(line: bytes) -> None:
            writer.write(line + b"\n")
            await writer.drain()

        try:
            request = decode(await self._read(reader))
            answer = Answer(send, lambda: _while_connected(self._host, reader))
            await self._operations.run(request, answer)
        except (LoomError, ValueError) as error:
            writer.write(_error_line(code_of(error), str(error)))

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        """The request's line; a client that sends none in time, or too much, is told so."""
        try:
            async with asyncio.timeout(self._patience):
                line = await reader.readline()
        except TimeoutError:
            raise ValueError(f"no request within {self._patience:g} s") from None
        except ValueError:
            raise ValueError(f"a request is one line of at most {MAX_FRAME} bytes") from None
        if not line.endswith(b"\n"):
            raise ConnectionError("closed before the end of its request")
        return line


@asynccontextmanager
async def _while_connected(host: Host, reader: asyncio.StreamReader) -> AsyncIterator[None]:
    """Cancel what runs inside when the client goes away."""
    task = asyncio.current_task()

    async def watch() -> None:
        while await reader.read(1024):
            continue
        if task is not None:
            task.cancel()

    watching = host.spawn(watch(), "client")
    try:
        yield
    finally:
        watching.cancel()


def _error_line(code: str, message: str) -> bytes:
    return encode_json({"error": {"code": code, "message": message}}) + b"\n"
