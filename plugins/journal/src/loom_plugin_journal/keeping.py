"""What those who consume durably know: see `loom.contracts.Journal`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from loom_kernel import Envelope, LoomError

from loom_plugin_journal.journal import Journal
from loom_plugin_journal.records import Store

LONGEST = 1 << 20
"""Bytes that one owner may know."""


class Keeping:
    """Writes what owners know with the end of the events that they learned it from."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal = journal
        self._store = store

    @property
    def generation(self) -> str:
        return ""

    async def load(self, owner: str) -> bytes:
        await self._journal.writer.flush()
        return await asyncio.to_thread(self._store.get, "state", owner) or b""

    def keep(
        self, owner: str, state: bytes, event: Envelope, clock: Sequence[float] = ()
    ) -> Awaitable[None]:
        if len(state) > LONGEST:
            raise LoomError(f"{owner} knows {len(state)} bytes; at most {LONGEST} are kept")
        flight = self._journal.flight(owner, event.id)
        if flight is not None and flight.trace is not None:
            flight.trace.clock = tuple(clock)
        if not state:
            return _nothing()
        if flight is not None:
            flight.keeps["state", owner] = state
            return _nothing()
        self._journal.writer.put("state", owner, state)
        return self._journal.writer.flush()

    def begin_anew(self, owner: str, event: Envelope) -> None:
        if (found := self._journal.delivery(owner, event.id)) is not None:
            found[0].begin_anew(event)

    def abandon(self, name: str) -> None:
        self._journal.forget(name)


async def _nothing() -> None:
    """It is written later, or not at all."""
