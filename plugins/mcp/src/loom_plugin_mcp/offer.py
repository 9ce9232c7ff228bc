"""The tools of one server on the bus: announced, called, withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from loom import ToolError, ToolProvider
from loom.contracts import ErrorCode, Preparation, ToolCall
from loom_kernel import Host

from loom_plugin_mcp.configuration import Server
from loom_plugin_mcp.contents import output_of
from loom_plugin_mcp.definitions import Definition
from loom_plugin_mcp.launch import Launch
from loom_plugin_mcp.settings import Settings
from loom_plugin_mcp.texts import clean
from loom_plugin_mcp.wire import Once

if TYPE_CHECKING:
    from mcp import MCPError
    from mcp.client.client import Client

AT_ONCE = 32
"""Calls of one server that may run at once."""
SILENT_CALLS = 3
"""After so many calls in a row without an answer it is asked whether it still lives."""
PROBE = 2.0
"""Seconds that it has to answer then."""
BETWEEN_NEWS = 0.05
"""Seconds between two tellings of how far a call has come."""


class Offer:
    """Offers the accepted tools of one server while there is a connection."""

    def __init__(self, host: Host, server: Server) -> None:
        self._host = host
        self._server = server
        self._settings: Settings = host.settings
        self._provider = ToolProvider(host, limit=AT_ONCE)
        self._offered: dict[str, Definition] = {}
        self._is_started = False
        self._silent = 0
        self._connection: tuple[Client, Once] | None = None
        self._launch = Launch()

    @property
    def names(self) -> list[str]:
        """The tools that are announced, as the server calls them."""
        return sorted(self._offered)

    async def expect(self, *, are_to_come: bool) -> None:
        """Whether the tools are there soon: then calls wait for them."""
        self._provider.awaited = frozenset({self._server.name} if are_to_come else ())
        await self._tell()

    async def open(
        self, client: Client, launch: Launch, lost: Once, accepted: Iterable[Definition]
    ) -> None:
        """Offer *accepted* over *client*, which *launch* led to.

        *lost* is what happens if it turns out to be hung.
        """
        self._connection, self._silent, self._launch = (client, lost), 0, launch
        self._provider.awaited = frozenset()
        await self.change(accepted)

    async def change(self, accepted: Iterable[Definition]) -> None:
        """Offer *accepted*, and no others, from now on."""
        wanted = {one.name: one for one in accepted}
        for name in self._offered.keys() - wanted.keys():
            self._provider.remove(f"{self._server.name}:{name}")
        for one in wanted.values():
            self._provider.add(
                one.descriptor(self._server), partial(self._call, one), partial(self._prepare, one)
            )
        self._offered = wanted
        await self._tell()

    async def _tell(self) -> None:
        if not self._is_started:
            self._is_started = True
            await self._provider.start()
        else:
            await self._provider.announce()

    async def close(self) -> None:
        """Offer nothing: there is no connection."""
        self._connection = None
        if self._offered:
            await self.change(())

    # -- a call ------------------------------------------------------------------------------

    async def _prepare(self, tool: Definition, call: ToolCall) -> Preparation:
        """Which server the call would go to, and what that can reach."""
        client, _ = self._connected(call)
        known, launch = client.server_info, self._launch
        says = clean(f"{known.name} {known.version}", 128) if known is not None else "nothing"
        return Preparation(
            summary=f"hand it to {tool.name} (definition {tool.fingerprint[:16]}) of the MCP "
            f"server {self._server.name}, which says that it is {says!r}; {launch.sentence()}",
            cwd=launch.cwd, environment=launch.environment, files=launch.files,
        )  # fmt: skip

    def _connected(self, call: ToolCall) -> tuple[Client, Once]:
        if self._connection is None:
            gone = f"the server {self._server.name!r} is not connected; try again"
            raise ToolError(call.name, "PROVIDER_UNAVAILABLE", gone)
        return self._connection

    async def _call(self, tool: Definition, call: ToolCall) -> Any:
        client, lost = self._connected(call)
        seconds = min(call.timeout or self._server.timeout, self._server.timeout)
        began = self._host.clock.monotonic()
        progress = _Progress(self._host, self._provider, call)
        try:
            output = await self._ask(client, tool, call, progress, seconds)
        except asyncio.CancelledError:
            if self._host.clock.monotonic() - began >= seconds:
                self._count_silence(lost)
            raise
        except ToolError as error:
            if error.code == "ACTION_TIMEOUT":
                self._count_silence(lost)
            else:
                self._silent = 0
            raise
        finally:
            await progress.end()
        self._silent = 0
        return output

    async def _ask(
        self, client: Client, tool: Definition, call: ToolCall, progress: _Progress, seconds: float
    ) -> Any:
        from mcp import MCPError

        try:
            result = await client.call_tool(
                tool.name, dict(call.arguments), seconds, progress_callback=progress.take
            )
        except MCPError as error:
            raise _failed(tool, call, error) from error
        except (ValueError, RuntimeError, ExceptionGroup) as error:
            problem = f"its server answered wrongly: {clean(str(error), 500)}"
            raise ToolError(call.name, "ACTION_ERROR", problem) from error
        return output_of(call.name, result, self._settings.max_result)

    def _count_silence(self, lost: Once) -> None:
        """A tool may be slow; a server that answers nothing else either is hung."""
        self._silent += 1
        if self._silent % SILENT_CALLS == 0 and self._connection is not None:
            self._host.spawn(self._probe(self._connection[0], lost), f"{self._server.name}/probe")

    async def _probe(self, client: Client, lost: Once) -> None:
        from mcp import MCPError

        try:
            async with asyncio.timeout(PROBE):
                await client.list_tools()
        except TimeoutError:
            lost.happen(f"it left {self._silent} calls in a row without an answer, and us too")
        except (MCPError, ValueError, RuntimeError) as error:
            self._host.log.debug("%s answers: %s", self._server.name, error)


def _failed(tool: Definition, call: ToolCall, error: MCPError) -> ToolError:
    """What an error of the protocol means to whoever called *tool*."""
    from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, METHOD_NOT_FOUND, REQUEST_TIMEOUT

    codes: dict[int, ErrorCode] = {
        CONNECTION_CLOSED: "PROVIDER_UNAVAILABLE" if tool.hints.read_only else "OUTCOME_UNKNOWN",
        INVALID_PARAMS: "INVALID_PARAMS",
        METHOD_NOT_FOUND: "CAPABILITY_ERROR",
        REQUEST_TIMEOUT: "ACTION_TIMEOUT",
    }
    code = codes.get(error.code, "ACTION_ERROR")
    text = clean(error.message, 2_000)
    if code == "OUTCOME_UNKNOWN":
        text = "the connection with its server ended while it ran: it may have taken effect, or not"
    return ToolError(call.name, code, text, {"by": "server", "code": error.code})


class _Progress:
    """How far one call has come: the latest news, told no faster than somebody can read."""

    def __init__(self, host: Host, provider: ToolProvider, call: ToolCall) -> None:
        self._host = host
        self._provider = provider
        self._call = call
        self._latest: tuple[float, float, str] | None = None
        self._news = asyncio.Event()
        self._teller = host.spawn(self._tell(), f"progress/{call.name}")

    async def take(self, progress: float, total: float | None, message: str | None) -> None:
        """What the server says."""
        self._latest = progress, total or 0.0, clean(message or "", 500)
        self._news.set()

    async def end(self) -> None:
        """Tell what was not told yet; there will be no more."""
        self._teller.cancel()
        await self._tell_latest()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._tell_latest()
            await self._host.clock.sleep(BETWEEN_NEWS)

    async def _tell_latest(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            await self._provider.progress(self._call, *latest)
