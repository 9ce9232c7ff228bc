"""Group commit: one thread writes a batch while the next one fills.

Everything that becomes known while the disk is busy is one transaction, so the more there is to
write, the less each event costs; an event alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

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
        self._orders: queue.SimpleQueue[Batch | Callable[[], None] | None] = queue.SimpleQueue()
        self._is_writing = self._is_called = False
        self._current = Batch()
        self._waiting: list[asyncio.Future[None]] = []
        self._told: list[asyncio.Future[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._work, name="loom-journal", daemon=True)
        self._thread.start()

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

    def call(self) -> None:
        """Have what there is committed, together with all that comes in this turn of the loop."""
        if not self._is_called and not self._is_writing:
            self._is_called = True
            self._idle.clear()
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_called = False
        self._commits.before_commit(self.batch)
        if not self.batch:
            self._idle.set()
            return
        batch, self.batch = self.batch, Batch()
        self._told, self._waiting = self._waiting, []
        self._current = batch
        self._is_writing = True
        self._orders.put(batch)

    def _work(self) -> None:
        """The thread."""
        while (batch := self._orders.get()) is not None:
            if not isinstance(batch, Batch):
                batch()
                continue
            receipts: list[Receipt] = []
            failure: BaseException | None = None
            try:
                receipts = self._store.commit(batch)
            except BaseException as error:  # noqa: BLE001  # it is told to those who wait for it
                failure = error
            self._loop.call_soon_threadsafe(self._written, batch, receipts, failure)

    def _written(
        self, batch: Batch, receipts: list[Receipt], failure: BaseException | None
    ) -> None:
        self._is_writing = False
        self._current = Batch()
        if failure is None:
            self._commits.committed(batch, receipts)
        else:
            self._commits.refused(batch, failure)
        for done in self._told:
            if failure is None:
                _succeed(done, None)
            else:
                _fail(done, JournalUnavailable(f"it was not written: {failure}"))
        self._idle.set()
        self.call()

    async def run(self, act: Callable[[], T]) -> T:
        """Call *act* between two commits, in the thread that may change the store."""
        done: asyncio.Future[T] = self._loop.create_future()

        def work() -> None:
            try:
                result = act()
            except BaseException as error:  # noqa: BLE001  # it is whoever waits who handles it
                self._loop.call_soon_threadsafe(_fail, done, error)
            else:
                self._loop.call_soon_threadsafe(_succeed, done, result)

        self._orders.put(work)
        return await done

    async def flush(self) -> None:
        """Wait until all that is known now is on the disk, or was refused."""
        self.call()
        while not self._idle.is_set() or self.batch:
            await self._idle.wait()

    async def aclose(self) -> None:
        """Write what is left, and end the thread."""
        await self.flush()
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)


def _succeed(done: asyncio.Future[Any], result: Any) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
