"""MCP over the pipes of a child process, which is confined and ends with the connection."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from loom.contracts import Sandbox
from loom.processes import Output, Process
from loom_kernel import Host

from loom_plugin_mcp.configuration import Server
from loom_plugin_mcp.launch import Launch, command_of
from loom_plugin_mcp.settings import Settings
from loom_plugin_mcp.wire import Lines, Once, ServerMisbehaves

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams
    from mcp.shared.message import SessionMessage

CHUNK = 1 << 16
OUTSTANDING = 256
"""Messages that may wait for a server that does not read."""
DEAF = 10.0
"""Seconds after which a server that does not read what it is sent is given up."""
LAST_BREATH = 0.25
"""Seconds that a process whose output has ended has to turn out to have ended."""


@asynccontextmanager
async def over_pipes(
    host: Host, server: Server, launch: Launch, lost: Once
) -> AsyncIterator[TransportStreams]:
    """Start *server* and yield the two streams of its messages; *lost* happens when they end.

    It and all that it started are gone when this is left, whichever way.

    Raises:
        OSError, LoomError: it cannot be started, or not be confined.
    """
    settings: Settings = host.settings
    command, within = command_of(server, launch)
    confined = host.require(Sandbox).confine(command, within)
    errors = Output(host.log.getChild(server.name), host.clock, settings.output_rate)
    process = await Process.start(confined, host.spawn, errors=errors.relay, limit=CHUNK)
    said, heard = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
    told, outgoing = anyio.create_memory_object_stream["SessionMessage"](OUTSTANDING)
    pipes = _Pipes(process, lost, settings.max_message)
    work = [
        host.spawn(pipes.read(said), f"{server.name}/reads"),
        host.spawn(pipes.write(outgoing), f"{server.name}/writes"),
    ]
    try:
        yield heard, told
    finally:
        for task in work:
            task.cancel()
        for stream in (said, heard, told, outgoing):
            stream.close()
        current = asyncio.current_task()
        is_late = current is not None and current.cancelling() > 0
        try:
            await process.end(0.0 if is_late else settings.stop_timeout)
        finally:
            process.close()  # also if we are cancelled meanwhile


class _Pipes:
    """Between lines on pipes and messages in streams."""

    def __init__(self, process: Process, lost: Once, longest: int) -> None:
        self._process = process
        self._lost = lost
        self._lines = Lines(longest)

    async def read(self, said: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Pass on what the process says until it ends."""
        async with said:
            try:
                while chunk := await self._process.stdout.read(CHUNK):
                    for line in self._lines.feed(chunk):
                        await said.send(_parse(line))
            except ServerMisbehaves as error:
                self._lost.happen(str(error))
                return
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # nobody listens any more
            self._lost.happen(await self._ending())

    async def write(self, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Tell the process what it is to be told."""
        try:
            async with outgoing:
                async for item in outgoing:
                    text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._process.stdin.write(text.encode() + b"\n")
                    async with asyncio.timeout(DEAF):
                        await self._process.stdin.drain()
        except TimeoutError:
            self._lost.happen(f"it did not read what it was sent for {DEAF:g} s")
        except ConnectionError:
            self._lost.happen(await self._ending())

    async def _ending(self) -> str:
        if not await self._process.wait_ended(LAST_BREATH):
            return "it closed its output"
        code = self._process.code or 0
        if code < 0:
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"


def _parse(line: bytes) -> SessionMessage | Exception:
    """The message in *line*, or what is wrong with it."""
    import mcp_types
    from mcp.shared.message import SessionMessage

    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return ServerMisbehaves(f"it sent a line that is no message: {line[:80]!r}")
