"""What the journal does by itself a while later: write progress, flush, try a failed disk."""

from __future__ import annotations

from collections.abc import Callable

from loom_kernel import Host, current

from loom_plugin_journal.records import Batch, Store
from loom_plugin_journal.writer import Writer

AGAIN = 1.0
"""Seconds after which a journal that could not write tries to."""
SOON = 0.05
"""Seconds after which progress is written if nothing else is before: a lone publisher's next event
need not wait for the end of the one before."""


class Upkeep:
    """*background_sync* is how many seconds background events may be without a flush."""

    def __init__(self, host: Host, store: Store, writer: Writer, background_sync: float) -> None:
        self._host = host
        self._store = store
        self._writer = writer
        self._background_sync = background_sync
        self._is_unflushed = self._will_sync = self._will_write = self._is_mending = False

    def write_soon(self) -> None:
        """Have progress written, if nothing else is before."""
        if not self._will_write:
            self._will_write = True
            self._host.spawn(self._write(), "write progress")

    async def _write(self) -> None:
        current.set(None)
        await self._host.clock.sleep(SOON)
        self._will_write = False
        self._writer.call()

    def committed(self, batch: Batch) -> None:
        """Have what a power cut could take flushed in time."""
        self._is_unflushed = not batch.is_flushed
        if self._is_unflushed and not self._will_sync:
            self._will_sync = True
            self._host.spawn(self._sync(), "sync")

    async def _sync(self) -> None:
        current.set(None)
        await self._host.clock.sleep(self._background_sync)
        self._will_sync = False
        if self._is_unflushed:
            self._writer.sync()

    def mend(self, is_broken: Callable[[], bool]) -> None:
        """Try again until it works. While the disk is full only what ends work is written."""
        if not self._is_mending:
            self._is_mending = True
            self._host.spawn(self._mend(is_broken), "mend")

    async def _mend(self, is_broken: Callable[[], bool]) -> None:
        current.set(None)
        while is_broken():
            await self._host.clock.sleep(AGAIN)
            self._writer.sync()
            await self._writer.flush()
            if self._store.is_full and await self._writer.run(self._store.reserve):
                self._writer.sync()
        self._is_mending = False


def commit_with_room(store: Store, batch: Batch) -> None:
    """Commit *batch*, also on a full disk: there is room set aside.

    Raises:
        OSError: it cannot be.
    """
    try:
        store.commit(batch)
    except OSError:
        if not store.is_full:
            raise
        store.commit(batch)
