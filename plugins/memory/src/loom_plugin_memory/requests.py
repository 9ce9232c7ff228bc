"""Requests over the bus: whoever asks sees their own sessions, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from loom.contracts import MEMORY_TOPICS, MemoryRequest, read
from loom_kernel import (
    Envelope,
    Host,
    InvalidEnvelope,
    LoomError,
    Subscription,
)

from loom_plugin_memory.problems import Refusal
from loom_plugin_memory.service import Service

AT_ONCE = 64
"""Requests that are worked on at once; more wait."""


class Requests:
    """Answers them in the name of *host*."""

    def __init__(self, host: Host, service: Service) -> None:
        self._host = host
        self._service = service
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._listening: list[Subscription] = []
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen from now on; clients that are confined to a namespace ask within it."""
        for kind, topic in MEMORY_TOPICS.items():
            patterns = (topic, f"ns.*.{topic}")
            name = f"memory:{topic}"
            listening = self._host.on(
                *patterns, handler=self._reader(kind), qos="batched", name=name
            )
            self._listening.append(listening)

    async def aclose(self) -> None:
        """Take no more, and answer what was taken."""
        for listening in self._listening:
            listening.close()
        if self._running:
            await asyncio.wait(self._running)

    def _reader(self, kind: type[MemoryRequest]) -> Callable[[Envelope], Awaitable[None]]:
        async def begin(envelope: Envelope) -> None:
            await self._slots.acquire()
            task = self._host.spawn(self._answer(kind, envelope), envelope.topic)
            self._running.add(task)
            task.add_done_callback(self._ended)

        return begin

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _answer(self, kind: type[MemoryRequest], envelope: Envelope) -> None:
        answer: Any
        labels: frozenset[str] = frozenset()
        try:
            request: Any = read(envelope, kind)
            found = await self._service.answer(f"agent:{envelope.sender}", request, envelope.labels)
            answer, labels = found.data, found.labels
        except (Refusal, InvalidEnvelope) as error:
            code = error.code if isinstance(error, Refusal) else "INVALID_PARAMS"
            answer = {"error": {"code": code, "message": str(error)}}
        except LoomError as error:
            self._host.log.exception("%s of %s failed", envelope.topic, envelope.sender)
            answer = {"error": {"code": "ACTION_ERROR", "message": str(error)}}
        if envelope.reply_to:
            await self._host.reply(envelope, answer, labels=labels)
