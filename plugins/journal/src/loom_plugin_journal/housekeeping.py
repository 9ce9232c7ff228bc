"""What the journal lets go of: old records, old outcomes, consumers that nobody is any more."""

from __future__ import annotations

import asyncio

import msgspec
from loom_kernel import Host

from loom_plugin_journal.effects import Ledger
from loom_plugin_journal.journal import Journal
from loom_plugin_journal.queries import sequence_at
from loom_plugin_journal.recording import handlings_of
from loom_plugin_journal.records import JournalDamaged, Store

EVERY = 3600.0
SKEW = 60.0
"""Seconds by which the wall clock may differ from what passed, in the hour before a cleaning."""
DAY = 86_400.0
PAGE = 256
KEYS = 1_000_000
"""Idempotency keys that are remembered at most, each for a day."""


class Housekeeping:
    """Runs every hour. *days* is how long records are kept, and consumers that are away."""

    def __init__(
        self, host: Host, journal: Journal, ledger: Ledger, store: Store, *, days: float
    ) -> None:
        self._host = host
        self._journal = journal
        self._ledger = ledger
        self._store = store
        self._days = days

    async def run(self) -> None:
        """Until the host ends. A wrong clock that is mended within the hour makes nothing old."""
        clock = self._host.clock
        wall, steady = clock.time(), clock.monotonic()
        while True:
            await clock.sleep(EVERY)
            drift = clock.time() - wall - (clock.monotonic() - steady)
            wall, steady = clock.time(), clock.monotonic()
            if abs(drift) > SKEW:  # what is old by a clock that was just set may not be
                self._host.log.info("the clock was set by %.0f s: nothing is cleaned now", drift)
                continue
            try:
                await self.clean()
            except (OSError, JournalDamaged):
                self._host.log.exception("the journal could not be cleaned")

    async def clean(self) -> None:
        """Let go of what is old now.

        Raises:
            OSError, JournalDamaged: it cannot.
        """
        self._journal.keep_progress()
        now = self._host.clock.time()
        old = now - self._days * DAY
        for name, consumer in list(self._journal.consumers.items()):
            if not consumer.outlets and consumer.seen < old:
                self._host.log.warning("%s was away for %g days: forgotten", name, self._days)
                self._journal.forget(name)
        self._ledger.forget_before(now - DAY)
        for key in await asyncio.to_thread(self._old_keys, now - DAY):
            self._journal.writer.put("key", key, None)
        for key in await asyncio.to_thread(self._old_runs, old):
            self._journal.writer.put("run", key, None)
        before = await asyncio.to_thread(sequence_at, self._store, old)
        floors = [consumer.floor for consumer in self._journal.consumers.values()]
        while await self._journal.writer.run(lambda: self._store.trim(min([before, *floors]))):
            continue  # by and by, so that publishers need not wait for all of it

    def _old_runs(self, moment: float) -> list[str]:
        """The handlings that ended before *moment*: they are kept in the order of their ends."""
        old: list[str] = []
        while page := self._store.scan("run", after=old[-1] if old else "", limit=PAGE):
            for key, data in page:
                if handlings_of(data)[-1].ended >= moment:
                    return old
                old.append(key)
        return old

    def _old_keys(self, moment: float) -> list[str]:
        known = [(msgspec.msgpack.decode(data)[1], key) for key, data in self._store.scan("key")]
        known.sort()
        surplus = max(len(known) - KEYS, 0)
        return [
            key for number, (time, key) in enumerate(known) if number < surplus or time < moment
        ]
