"""An event recorder: what was published, in order, without being a subscriber."""

from __future__ import annotations

import asyncio

from loom_kernel.envelope import Envelope
from loom_kernel.host import Host
from loom_kernel.topics import matches


class EventRecorder:
    """Records what is published to *patterns* on the runtime of *host*, up to *capacity*."""

    def __init__(self, host: Host, *patterns: str, capacity: int = 100_000) -> None:
        self.events: list[Envelope] = []
        self._capacity = capacity
        self._changed = asyncio.Event()
        host.add_filter(self._record, *patterns, order=1_000)

    def _record(self, envelope: Envelope) -> Envelope:
        if len(self.events) < self._capacity:
            self.events.append(envelope)
            self._changed.set()
        return envelope

    def on(self, pattern: str) -> list[Envelope]:
        """What was published to *pattern* so far."""
        return [event for event in self.events if matches(pattern, event.topic)]

    async def wait_for(self, pattern: str, count: int = 1, timeout: float = 5.0) -> list[Envelope]:
        """Wait until *count* events were published to *pattern*; all of them.

        Raises:
            AssertionError: there were fewer after *timeout* seconds; the text lists what was.
        """
        try:
            async with asyncio.timeout(timeout):
                while len(found := self.on(pattern)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            seen = ", ".join(event.topic for event in self.events[-50:])
            raise AssertionError(
                f"{len(self.on(pattern))} of {count} events on {pattern!r} after {timeout:g} s; "
                f"seen: {seen or 'nothing'}"
            ) from None
        return found
