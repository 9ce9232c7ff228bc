"""A tap: what is published, copied for one onlooker, who may be slow and must not slow anybody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from loom_kernel import Envelope, PayloadNotSerializable, encode_json

from loom_plugin_control.requests import MAX_FRAME, Tail

CAPACITY = 1_000


class Tap:
    """A bounded backlog of envelopes. When it is full the oldest is lost, and counted."""

    def __init__(self, wanted: Tail, capacity: int = CAPACITY) -> None:
        self._wanted = wanted
        self._capacity = capacity
        self._waiting: deque[Envelope] = deque()
        self._dropped = 0
        self._reason = ""
        self._changed = asyncio.Event()

    @property
    def patterns(self) -> tuple[str, ...]:
        """What to tap."""
        return self._wanted.patterns or (">",)

    def take(self, envelope: Envelope) -> Envelope:
        """Remember *envelope* if it is wanted. It is a filter of the bus that changes nothing."""
        if self._is_wanted(envelope):
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(envelope)
            self._changed.set()
        return envelope

    def close(self, reason: str) -> None:
        """End the tap once what waits has been read."""
        self._reason = reason
        self._changed.set()

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The lines for the onlooker, in order, until the tap is closed."""
        while True:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                yield encode_json({"dropped": dropped})
            elif self._waiting:
                yield event_frame(self._waiting.popleft())
            elif self._reason:
                yield encode_json({"end": self._reason})
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def _is_wanted(self, envelope: Envelope) -> bool:
        wanted = self._wanted
        return (
            (bool(wanted.patterns) or not envelope.topic.startswith("$"))
            and (not wanted.types or envelope.type in wanted.types)
            and (not wanted.senders or envelope.sender in wanted.senders)
            and (not wanted.threads or envelope.thread_id in wanted.threads)
        )


def event_frame(envelope: Envelope) -> bytes:
    """*envelope* as one line; data that cannot be sent is left out, and the line says so."""
    try:
        frame = b'{"event":%b}' % envelope.to_json()
        problem = f"data left out: the event has {len(frame)} bytes"
    except PayloadNotSerializable as error:
        frame, problem = b"", str(error).partition(": ")[2]  # the line names the topic already
    if frame and len(frame) < MAX_FRAME:
        return frame
    bare: dict[str, Any] = msgspec.json.decode(envelope.emptied().to_json())
    return encode_json({"event": bare, "problem": problem})
