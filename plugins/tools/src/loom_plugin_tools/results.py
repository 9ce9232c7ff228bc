"""What calls came to, for those who repeat an id: bounded in number and in size."""

from __future__ import annotations

import asyncio

import msgspec
from loom.contracts import ToolResult

Key = tuple[str, str]
"""Caller and call id."""
Outcome = tuple[ToolResult, frozenset[str]]
"""With the labels of all that led to it."""

_encode = msgspec.json.Encoder().encode


class Results:
    """At most *most* results of together at most *size* bytes, and all calls that still run.

    Over the number, the oldest is forgotten; over the size, the largest. A call whose result was
    forgotten runs again if its id comes again.
    """

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._size = size
        self._known: dict[Key, asyncio.Future[Outcome]] = {}
        self._sizes: dict[Key, int] = {}
        self._total = 0

    def find(self, key: Key) -> asyncio.Future[Outcome] | None:
        """What call *key* comes to, if it runs or is remembered."""
        return self._known.get(key)

    def begin(self, key: Key) -> None:
        """Call *key* runs from now on; `keep` or `drop` follows."""
        self._known[key] = asyncio.get_running_loop().create_future()

    def drop(self, key: Key, outcome: Outcome) -> None:
        """Call *key* did not come to an end; whoever waits for it gets *outcome*."""
        self._known.pop(key).set_result(outcome)

    def keep(self, key: Key, outcome: Outcome) -> None:
        """Call *key* came to *outcome*."""
        self._known[key].set_result(outcome)
        self._sizes[key] = size = self._size_of(outcome[0])
        self._total += size
        while len(self._sizes) > self._most:
            self._forget(next(iter(self._sizes)))
        while self._total > self._size:
            self._forget(max(self._sizes, key=self._sizes.__getitem__))

    def _forget(self, key: Key) -> None:
        self._total -= self._sizes.pop(key)
        del self._known[key]

    def _size_of(self, result: ToolResult) -> int:
        """Bytes of *result* as JSON; what has no such form counts as more than may be kept."""
        try:
            return len(_encode(result))
        except (TypeError, ValueError, RecursionError):
            return self._size + 1
