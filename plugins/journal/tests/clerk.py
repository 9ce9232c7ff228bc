"""A consumer for tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from loom_kernel import Envelope, Host, Runtime, Subscription

Start = Callable[..., AbstractAsyncContextManager[Runtime]]


class Clerk:
    """Consumes durably, and remembers what it was given. *answer* may raise."""

    def __init__(self, host: Host, answer: Callable[[Envelope], Any] | None = None) -> None:
        self.host = host
        self.given: list[Any] = []
        self.ids: list[str] = []
        self._answer = answer

    def consume(self, *patterns: str, durable: str = "clerk", **options: Any) -> Subscription:
        return self.host.on(*patterns, handler=self._on, durable=durable, **options)

    async def _on(self, envelope: Envelope) -> None:
        self.given.append(envelope.data)
        self.ids.append(envelope.id)
        if self._answer is not None:
            done = self._answer(envelope)
            if hasattr(done, "__await__"):
                await done
