"""How many calls at once of one tool, and how many a minute by one caller."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loom.contracts import ToolDescriptor, ToolError

CALLERS = 4096
"""Callers whose calls are counted."""


class Limits:
    """*rate* calls a minute by one caller (0 = no limit), in bursts of a sixth of that."""

    def __init__(self, now: Callable[[], float], *, rate: float) -> None:
        self._now = now
        self._per_second = rate / 60
        self._burst = max(1.0, rate / 6)
        self._credit: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._places: dict[tuple[str, str], tuple[int, asyncio.Semaphore]] = {}

    def count(self, tool: str, caller: str) -> None:
        """Let *caller* make one more call.

        Raises:
            ToolError: PERMISSION_DENIED, there were too many; the text says when to come again.
        """
        if not self._per_second:
            return
        now = self._now()
        credit, last = self._credit.pop(caller, (self._burst, now))
        credit = min(self._burst, credit + (now - last) * self._per_second)
        self._credit[caller] = (credit - (credit >= 1), now)
        if len(self._credit) > CALLERS:
            self._credit.popitem(last=False)
        if credit < 1:
            wait = (1 - credit) / self._per_second
            text = f"{caller} has made too many calls; the next one is free in {wait:.1f} s"
            raise ToolError(tool, "PERMISSION_DENIED", text, {"reason": "rate", "retry": wait})

    @asynccontextmanager
    async def place(self, tool: ToolDescriptor, seconds: float) -> AsyncIterator[None]:
        """Wait up to *seconds* for one of the places that *tool* has.

        Raises:
            ToolError: PROVIDER_UNAVAILABLE, none became free.
        """
        if not tool.concurrency:
            yield
            return
        count, places = self._places.get((tool.name, tool.version), (0, None))
        if places is None or count != tool.concurrency:
            places = asyncio.Semaphore(tool.concurrency)
            self._places[tool.name, tool.version] = (tool.concurrency, places)
        try:
            async with asyncio.timeout(seconds):
                await places.acquire()
        except TimeoutError:
            text = f"{tool.concurrency} calls run already, and none ended within {seconds:g} s"
            raise ToolError(tool.name, "PROVIDER_UNAVAILABLE", text) from None
        try:
            yield
        finally:
            places.release()
