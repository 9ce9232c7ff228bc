"""Group commit: one thread writes a batch while the next one fills.

Everything that becomes known while the disk is busy is one transaction, so the more there is to
write, the less each event costs; an event alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, TypeVar

from loom_plugin_journal.records import (
    Append,
    Batch,
    JournalUnavailable,
    Receipt,
    Space,
    Store,
)

T = TypeVar("T")


class Commits(Protocol):
    """Who is told of commits, in the event loop."""

    def before_commit(self, batch: Batch) -> None:
        """Add to *batch* what must be written with it."""

    def committed(self, batch: Batch, receipts: list[Receipt]) -> None:
        """*batch* is on the disk."""

    def refused(self, batch: Batch, error: BaseException) -> None:
        """*batch* is not on the disk, and will not be."""


class Writer:
    """The only way to change the store."""

    def __init__(self, store: Store, commits: Commits) -> None:
        self.batch = Batch()
        """What the next commit will hold."""
        self._store = store
        self._commits = commits
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loom-journal")
        self._is_writing = self._is_called = self._is_wanted = self._is_closed = False
        self._current = Batch()
        self._waiting: list[asyncio.Future[None]] = []
        """Who waits for the next commit."""
        self._told: list[asyncio.Future[None]] = []
        """Who waits for the one that is being made."""

    def append(self, append: Append, *, flushed: bool) -> None:
        """Write one event, before a power cut if *flushed*."""
        self.batch.appends.append(append)
        self.batch.is_flushed |= flushed
        self.call()

    def put(self, space: Space, key: str, data: bytes | None) -> None:
        """Set a value with the next commit; None removes it."""
        self.batch.values[space, key] = data
        self.call()

    def pending(self, space: Space, key: str) -> bytes | None:
        """The value that is about to be written."""
        for batch in (self.batch, self._current):
            if (found := batch.values.get((space, key))) is not None:
                return found
        return None

    async def written(self, space: Space, key: str, data: bytes, *, flushed: bool) -> None:
        """Set a value; it is on the disk when this returns, before a power cut if *flushed*.

        Raises:
            JournalUnavailable: it is not.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self.batch.is_flushed |= flushed
        self._waiting.append(done)
        self.put(space, key, data)
        await done

    def sync(self) -> None:
        """Have all that is written so far survive a power cut."""
        self.batch.values["meta", "synced"] = b""
        self.batch.is_flushed = True
        self.call()

    def call(self) -> None:
        """Have what there is committed, together with all that comes in this turn of the loop."""
        if self._is_writing:
            self._is_wanted = True
        elif not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_called = self._is_wanted = False
        if self._is_closed:
            self._tell(JournalUnavailable("the journal is closed"))
            return
        self._commits.before_commit(self.batch)
        self._told, self._waiting = self._waiting, []
        if not self.batch:
            self._tell(None)
            return
        self._current, self.batch = self.batch, Batch()
        self._is_writing = True
        writing = self._loop.run_in_executor(self._thread, self._store.commit, self._current)
        writing.add_done_callback(self._written)

    def _written(self, writing: asyncio.Future[list[Receipt]]) -> None:
        batch, self._current = self._current, Batch()
        self._is_writing = False
        failure = writing.exception()
        if failure is None:
            self._commits.committed(batch, writing.result())
            if self._is_wanted:
                self.call()
        else:
            self._commits.refused(batch, failure)  # it has it tried again, but not at once
        self._tell(failure)

    def _tell(self, failure: BaseException | None) -> None:
        told, self._told = self._told, []
        for done in told:
            if done.done():
                continue
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(JournalUnavailable(f"it was not written: {failure}"))

    async def run(self, act: Callable[[], T]) -> T:
        """Call *act* between two commits, in the thread that may change the store."""
        return await self._loop.run_in_executor(self._thread, act)

    async def flush(self) -> None:
        """Wait until all that is known now is on the disk, or was refused."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        self.call()
        with suppress(JournalUnavailable):
            await done

    async def aclose(self) -> None:
        """Write what is left, and end the thread."""
        await self.flush()
        self._is_closed = True
        await asyncio.to_thread(self._thread.shutdown)
