"""The HTTP client that drivers hand to an official SDK. It needs the package httpx2.

What an SDK reads from the environment must not reach an endpoint that it is not meant for: no
proxy sees what is to stay on this machine, and only headers that Loom knows of are sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from loom.contracts import ModelError
from loom.models.endpoint import Endpoint

if TYPE_CHECKING:
    import httpx2

LONGEST = 64 << 20
"""Bytes of one answer."""
SENT = {
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "authorization",
    "connection", "content-length", "content-type", "host", "user-agent", "x-api-key",
}  # fmt: skip


def http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """A client for *endpoint* alone: it follows no redirects, and reads no endless answers."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        """A body of at most `LONGEST` bytes."""

        def __init__(self, body: httpx2.AsyncByteStream) -> None:
            self._body = body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = LONGEST
            async for part in self._body:
                left -= len(part)
                if left < 0:
                    text = f"the answer is over {LONGEST} bytes"
                    raise ModelError(endpoint.name, "MODEL_MALFORMED", text, is_final=True)
                yield part

        async def aclose(self) -> None:
            await self._body.aclose()

    async def reduce(request: httpx2.Request) -> None:
        for name in set(request.headers) - SENT:
            del request.headers[name]

    async def bound(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = Bounded(response.stream)

    return httpx2.AsyncClient(
        timeout=endpoint.timeout_sec,
        trust_env=not endpoint.is_local,
        follow_redirects=False,
        event_hooks={"request": [reduce], "response": [bound]},
    )
