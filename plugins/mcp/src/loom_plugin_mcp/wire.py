"""The two directions of a connection, bounded in both, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from loom_kernel import Clock, LoomError

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream
    from mcp.shared.message import SessionMessage

BURST = 4
"""Seconds for which a server may send at once what it saved up."""


class ServerMisbehaves(LoomError):
    """A server does what no server may; the text says what. It is not heard any more."""


class Incoming:
    """What a server says, at *rate* messages a second at most: more waits with the server.

    *on_end* is called once, when nothing more can come.
    """

    def __init__(
        self,
        inner: ReadStream[SessionMessage | Exception],
        clock: Clock,
        rate: int,
        on_end: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._rate = rate
        self._on_end = on_end
        self._credit = float(rate * BURST)
        self._last = clock.monotonic()

    @property
    def last_context(self) -> Any:
        """What the SDK asks of its own streams."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        await self._pace()
        try:
            item = await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._on_end()
            raise
        return _without_result_schemas(item)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _pace(self) -> None:
        now = self._clock.monotonic()
        earned = (now - self._last) * self._rate
        self._credit = min(self._credit + earned, float(self._rate * BURST)) - 1.0
        self._last = now
        if self._credit < 0:
            await self._clock.sleep(-self._credit / self._rate)


def _without_result_schemas(item: SessionMessage | Exception) -> SessionMessage | Exception:
    """*item* without the schemas of results.

    The SDK would run them against what the server sends, in this process: both are strangers'.
    """
    result = getattr(getattr(item, "message", None), "result", None)
    tools = result.get("tools") if isinstance(result, dict) else None
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            tool.pop("outputSchema", None)
    return item


class Lines:
    """Splits what comes into lines of up to *longest* bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that *chunk* completes.

        Raises:
            ServerMisbehaves: one is too long.
        """
        *ends, rest = chunk.split(b"\n")
        lines: list[bytes] = []
        for end in ends:
            self._add(end)
            lines.append(b"".join(self._parts))
            self._parts, self._size = [], 0
        self._add(rest)
        return lines

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._longest:
            raise ServerMisbehaves(f"it sent a line of more than {self._longest} bytes")
        if part:
            self._parts.append(part)


class Once:
    """Something that happens once, for a reason: the first one counts. *on_happen* is told."""

    def __init__(self, on_happen: Callable[[], None]) -> None:
        self.reason = ""
        self.has_happened = False
        self._on_happen = on_happen

    def happen(self, reason: str) -> None:
        """Let it have happened, for *reason*."""
        if not self.has_happened:
            self.reason, self.has_happened = reason, True
            self._on_happen()
