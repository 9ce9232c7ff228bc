"""Reading on for consumers that are behind: after a start, or when the writing was faster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from loom_kernel import Host, current

from loom_plugin_journal.consumer import Consumer
from loom_plugin_journal.records import JournalDamaged, Store

CHUNK = 512
"""Records that are read at once."""


class Reading:
    """One task for each consumer that is behind and has room, until it is up to date."""

    def __init__(self, host: Host, store: Store, damaged: Callable[[JournalDamaged], None]) -> None:
        self._host = host
        self._store = store
        self._damaged = damaged
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, consumer: Consumer) -> None:
        """Read on for *consumer*, if it has room and nobody does yet."""
        if consumer.name not in self._tasks and consumer.has_room:
            task = self._host.spawn(self._read(consumer), f"read/{consumer.name}")
            self._tasks[consumer.name] = task
            task.add_done_callback(partial(self._done, consumer))

    def _done(self, consumer: Consumer, task: asyncio.Task[None]) -> None:
        self._tasks.pop(consumer.name, None)
        if not task.cancelled() and isinstance(error := task.exception(), JournalDamaged):
            self._damaged(error)
        if not task.cancelled() and task.exception() is None and consumer.is_behind:
            self.ask(consumer)

    async def _read(self, consumer: Consumer) -> None:
        current.set(None)  # whoever asked has nothing to do with what is read
        while consumer.has_room:
            if consumer.unread:
                await self._read_again(consumer)
            elif consumer.next > self._store.last:
                consumer.is_behind = False
                return
            else:
                await self._read_on(consumer)

    async def _read_again(self, consumer: Consumer) -> None:
        """One record that it had in hand before."""
        sequence = consumer.unread[0]
        records = await asyncio.to_thread(self._store.read, sequence, 1)
        if consumer.has_room and consumer.unread and consumer.unread[0] == sequence:
            consumer.unread.popleft()
            consumer.read(records[0])

    async def _read_on(self, consumer: Consumer) -> None:
        for record in await asyncio.to_thread(self._store.read, consumer.next, CHUNK):
            if not consumer.has_room or consumer.unread or record.sequence != consumer.next:
                return
            consumer.read(record)
