"""MCP over HTTP: streamable, and the older server-sent events."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from loom_plugin_mcp.configuration import Server
from loom_plugin_mcp.wire import Once, ServerMisbehaves

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")
"""The end of one event."""
NOT_FOUND = 404
SESSION = "mcp-session-id"
SILENCE = 3600.0
"""Seconds that a stream of events may be silent."""


@asynccontextmanager
async def over_web(server: Server, longest: int, lost: Once) -> AsyncIterator[TransportStreams]:
    """Connect to *server* and yield the two streams of its messages, each of *longest* bytes.

    *lost* happens when the server knows our session no more: then there has to be another one.
    """
    import httpx2
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamable_http_client

    times = httpx2.Timeout(server.timeout, read=SILENCE)
    transport = _bounded_transport(longest, lost)

    def client(
        headers: Any = None, timeout: Any = None, auth: httpx2.Auth | None = None
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=dict(server.headers), timeout=times, auth=auth, transport=transport,
            trust_env=False,
        )  # fmt: skip

    streams: AbstractAsyncContextManager[TransportStreams]
    if server.transport == "sse":
        streams = sse_client(server.url, httpx_client_factory=client)
        async with streams as found:
            yield found
        return
    async with client() as http:
        streams = streamable_http_client(server.url, http_client=http, max_sse_event_size=longest)
        async with streams as found:
            yield found


def _bounded_transport(longest: int, lost: Once) -> httpx2.AsyncBaseTransport:
    """A transport that reads no more than *longest* bytes of one answer, or of one event."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, inner: Any, is_events: bool) -> None:
            self._inner = inner
            self._is_events = is_events

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size, tail = 0, b""
            async for chunk in self._inner:
                size, tail = size + len(chunk), tail + chunk
                if self._is_events and BLANK.search(tail):
                    size = 0
                tail = tail[-3:]
                if size > longest:
                    raise ServerMisbehaves(f"it sent an answer of more than {longest} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Transport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            if response.status_code == NOT_FOUND and SESSION in request.headers:
                lost.happen("it has ended our session")
            kind = response.headers.get("content-type", "").lower()
            response.stream = Bounded(response.stream, kind.startswith("text/event-stream"))
            return response

    return Transport(trust_env=False)
