"""The journal: between the bus, the log on the disk, and those who consume durably.

publish → intake → batch → commit → the publisher goes on, and every consumer is given the event
handler → settled → progress, state and what else it kept, in one commit
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from loom_kernel import Bus, Envelope, Health, Host, LoomError, current, detached

from loom_plugin_journal.consumer import Consumer
from loom_plugin_journal.flight import Flight, Letter, Progress
from loom_plugin_journal.reading import Reading
from loom_plugin_journal.records import (
    Append,
    Batch,
    JournalDamaged,
    JournalUnavailable,
    Receipt,
    Store,
    body_of,
    encode,
)
from loom_plugin_journal.settings import Settings
from loom_plugin_journal.slots import Slots
from loom_plugin_journal.subscription import DurableSubscription, Intake, bus_of, plain, seen
from loom_plugin_journal.upkeep import Upkeep, commit_with_room
from loom_plugin_journal.writer import Writer

if TYPE_CHECKING:
    from loom_plugin_journal.recording import Recorder

TOPICS = 10_000
"""Topics of which is remembered who consumes them."""
IDEMPOTENCY = "idempotency-key"
"""The entry of an event's metadata by which a repeated one is recognised."""
AGENT = "agent:"
"""What the names of agents' mailboxes begin with."""


class Journal:
    """Keeps events for durable consumers. Everything but the store is in the event loop."""

    def __init__(self, host: Host, store: Store, slots: Slots, settings: Settings) -> None:
        self.random = host.random
        self.most_failures = settings.deliveries
        self.most_crashes = settings.crashes
        self.consumers: dict[str, Consumer] = {}
        self.recorder: Recorder | None = None
        self.trouble = ""
        """Why nothing can be written now."""
        self.counts = {"written": 0, "repeated": 0, "commits": 0, "refused": 0}
        self._host = host
        self._bus = bus_of(host)
        self._store = store
        self._slots = slots
        self._settings = settings
        self._waiting: list[tuple[asyncio.Future[int], Envelope]] = []
        """Who waits for the appends of the next batch, and of which event."""
        self._written: list[tuple[asyncio.Future[int], Envelope]] = []  # of the one being written
        self._lag = 0
        self._held: deque[tuple[asyncio.Future[int], Envelope, Append]] = deque()
        """What waits until the slowest consumer is not too far behind any more."""
        self._interests: dict[str, tuple[Consumer, ...]] = {}
        self._changed: dict[Consumer, None] = {}
        self._newest = store.last  # the record that was offered last
        self._damage = ""  # what was read and is not what was written
        self._handled: dict[tuple[str, str], tuple[Consumer, Flight]] = {}
        """What handlers work on: by consumer's subscriber and event id."""
        self._reading = Reading(host, store, self._damaged)
        self._always = settings.topics or ("$loom.journal.unused",)
        self.intake = Intake(self, self._bus, self._always)
        self._restore()
        self.writer = Writer(store, self)
        self._upkeep = Upkeep(host, store, self.writer, settings.background_sync)
        self._bus.add(self.intake)
        self._bus.make_durable = self._make
        host.on("$loom.stopping", handler=self._stop, name="journal:stopping")

    @property
    def last(self) -> int:
        """The newest record."""
        return self._store.last

    @property
    def is_stuck(self) -> bool:
        """Whether publishers should not even try."""
        return bool(self.trouble) or self._lag > self._settings.max_lag

    def _measure_lag(self) -> int:
        """How far the slowest of those is behind that somebody consumes for."""
        floors = [consumer.floor for consumer in self.consumers.values() if consumer.outlets]
        return self.last + 1 - min(floors) if floors else 0

    def now(self) -> float:
        return self._host.clock.time()

    # -- starting ----------------------------------------------------------------------------

    def _restore(self) -> None:
        """Take up every consumer where it was, and count what was being handled as crashed."""
        for name, data in self._store.scan("consumer"):
            progress = msgspec.msgpack.decode(data, type=Progress)
            self._enter(name, progress)
        known = self._store.get("meta", "consumers")
        if known is not None and (
            missing := set(msgspec.msgpack.decode(known, type=list[str])) - set(self.consumers)
        ):
            raise JournalDamaged(f"the progress of {', '.join(sorted(missing))} is missing")
        numbers = {consumer.number: consumer for consumer in self.consumers.values()}
        batch = Batch()
        for number, sequence in self._slots.left():
            if (consumer := numbers.get(number)) is not None:
                consumer.crashed(sequence)
                batch.values["consumer", consumer.name] = encode(consumer.progress())
        if batch:  # before anybody is given one of them again
            batch.is_flushed = True
            commit_with_room(self._store, batch)
        self._slots.clear()

    def _enter(self, name: str, progress: Progress) -> Consumer:
        consumer = Consumer(self, name, progress, self._settings.window)
        self.consumers[name] = consumer
        self._listen_to(consumer.patterns)
        return consumer

    def _listen_to(self, patterns: tuple[str, ...]) -> None:
        for pattern in patterns:
            self.intake.add(pattern)
        self._interests.clear()

    def _stop_listening(self) -> None:
        """Write down no more what nobody consumes any more."""
        wanted = {*self._always, *(p for c in self.consumers.values() for p in c.patterns)}
        for pattern in set(self.intake.patterns) - wanted:
            self.intake.remove(pattern)
        self._interests.clear()

    # -- publishers --------------------------------------------------------------------------

    def append(self, envelope: Envelope) -> asyncio.Future[int]:
        """Have *envelope* written; the future gives the number of its consumers.

        Raises (in the future):
            JournalUnavailable: it is not written, and will not be.
            PayloadNotSerializable: it cannot be.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.add_done_callback(seen)
        try:
            if self.trouble:
                raise JournalUnavailable(f"the journal cannot write: {self.trouble}")
            space, key = self._key(envelope)
            append = Append(envelope.topic, body_of(envelope), envelope.time, space, key)
        except LoomError as error:
            future.set_exception(error)
            return future
        if self._held or self._lag > self._settings.max_lag:
            self._held.append((future, envelope, append))
        else:
            self._write(future, envelope, append)
        return future

    def _write(self, future: asyncio.Future[int], envelope: Envelope, append: Append) -> None:
        self._waiting.append((future, envelope))
        self.writer.append(append, flushed=self._is_flushed(envelope.topic))

    def _let_in(self) -> None:
        """Write what was held back, if the slowest consumer has caught up."""
        while self._held and self._lag + len(self._waiting) <= self._settings.max_lag:
            future, envelope, append = self._held.popleft()
            if not future.done():
                self._write(future, envelope, append)

    def _key(self, envelope: Envelope) -> tuple[str, str]:
        """By what a repetition of *envelope* is recognised; nothing if it cannot be one."""
        if own := envelope.metadata.get(IDEMPOTENCY):
            return "key", f"{envelope.topic}/{own}"
        if not envelope.causation_id:
            return "", ""
        found = self._handled.get((envelope.sender, envelope.causation_id))
        if found is None:
            return "", ""
        consumer, flight = found
        return "step", f"{consumer.name}/{flight.step(f'{envelope.topic}/{envelope.type}')}"

    def _is_flushed(self, topic: str) -> bool:
        """Whether somebody wants it to survive a power cut: all but background consumers do."""
        consumers = self._interested(topic)
        return any(c.wants_flush for c in consumers) or not any(c.outlets for c in consumers)

    def _interested(self, topic: str) -> tuple[Consumer, ...]:
        known = self._interests.get(topic)
        if known is None:
            if len(self._interests) >= TOPICS:
                self._interests.clear()
            known = tuple(c for c in self.consumers.values() if c.wants(topic))
            self._interests[topic] = known
        return known

    # -- consumers ---------------------------------------------------------------------------

    def _make(self, bus: Bus, patterns: tuple[str, ...], **options: Any) -> DurableSubscription:
        limit = 0.0 if options["durable"].startswith(AGENT) else self._settings.ack_wait
        return DurableSubscription(bus, patterns, journal=self, time_limit=limit, **options)

    def consumer(self, outlet: DurableSubscription) -> Consumer:
        """The consumer under the name that *outlet* asks for, made if it is new.

        Raises:
            LoomError: somebody else consumes under it, and they are no group.
        """
        name = outlet.durable
        consumer = self.consumers.get(name)
        if consumer is None:
            numbers = [known.number for known in self.consumers.values()]
            progress = Progress(
                max(numbers, default=0) + 1, (), self.last + 1, [], {}, self.now(),
            )  # fmt: skip
            consumer = self._enter(name, progress)
            self.writer.put("meta", "consumers", encode(sorted(self.consumers)))
        elif consumer.outlets and not (outlet.group and outlet.group == consumer.outlets[0].group):
            raise LoomError(f"{name!r} is consumed by {consumer.outlets[0].subscriber!r} already")
        consumer.types = outlet.types
        consumer.listen(outlet.patterns)
        self._listen_to(outlet.patterns)
        return consumer

    def listen(self, outlet: DurableSubscription) -> None:
        """*outlet* has other patterns now."""
        outlet.consumer.listen(outlet.patterns)
        self._listen_to(outlet.patterns)
        self._stop_listening()

    def forget(self, name: str) -> None:
        """Keep nothing for *name* any more; nothing happens if somebody consumes under it."""
        consumer = self.consumers.get(name)
        if consumer is None or consumer.outlets:
            return
        del self.consumers[name]
        self._changed.pop(consumer, None)
        self._stop_listening()
        self.writer.put("consumer", name, None)
        self.writer.put("meta", "consumers", encode(sorted(self.consumers)))

    def delivery(self, owner: str, event: str) -> tuple[Consumer, Flight] | None:
        """The delivery of *event* that *owner* is handling."""
        return self._handled.get((owner, event))

    def flight(self, owner: str, event: str) -> Flight | None:
        """Its half on the way."""
        found = self._handled.get((owner, event))
        return found[1] if found is not None else None

    def deliver_again(self, letter: Letter) -> None:
        """Give *letter*'s event to its consumer as if for the first time.

        Raises:
            LoomError: there is no such consumer any more, or the record is no longer kept.
        """
        consumer = self.consumers.get(letter.consumer)
        if consumer is None:
            raise LoomError(f"there is no durable consumer {letter.consumer!r} any more")
        if letter.sequence < self._store.first:
            raise LoomError(f"record {letter.sequence} is no longer kept; publish the event anew")
        self.writer.put("letter", letter.id, None)
        consumer.again(letter.sequence)

    # -- Line: what a consumer asks ----------------------------------------------------------

    def occupy(self, consumer: Consumer, flight: Flight, *, is_ours: bool) -> None:
        if is_ours:
            flight.slot = self._slots.take(consumer.number, flight.sequence)
        for outlet in consumer.outlets:
            self._handled[outlet.subscriber, flight.envelope.id] = consumer, flight
        if self.recorder is not None and consumer.name.startswith(AGENT):
            self.recorder.begin(flight)

    def release(self, consumer: Consumer, flight: Flight) -> None:
        self._slots.free(flight.slot)
        flight.slot = -1
        for outlet in consumer.outlets:
            self._handled.pop((outlet.subscriber, flight.envelope.id), None)

    def tell(self, consumer: Consumer, flight: Flight, failure: BaseException | None) -> None:
        if self.recorder is not None and flight.trace is not None:
            owner = consumer.name.removeprefix(AGENT)
            self.recorder.end(owner, flight, failure)

    def conclude(self, consumer: Consumer, flight: Flight) -> None:
        self.writer.batch.values.update(flight.keeps)
        if flight.steps or flight.tries.failures or flight.tries.crashes:
            self.writer.batch.removals.append(("step", f"{consumer.name}/{flight.envelope.id}/"))

    def bury(self, letter: Letter) -> None:
        self.writer.put("letter", letter.id, encode(letter))
        event = letter.summary()
        self._host.log.error("event %(event)s on %(topic)s is given up: %(reason)s", event)
        self._host.spawn(self._tell(f"dlq.{event['topic']}", event), f"bury/{letter.id}")

    async def _tell(self, topic: str, data: Any) -> None:
        with detached():
            await self._host.publish(topic, data)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self._host.spawn(self._wait(seconds, act), "retry")

    async def _wait(self, seconds: float, act: Callable[[], None]) -> None:
        current.set(None)
        await self._host.clock.sleep(seconds)
        act()

    def changed(self, consumer: Consumer) -> None:
        self._changed[consumer] = None
        self._upkeep.write_soon()

    def keep_progress(self) -> None:
        """Write how far all are: also those that only were passed by."""
        for consumer in self.consumers.values():
            self.changed(consumer)

    def lags(self, consumer: Consumer) -> None:
        self._reading.ask(consumer)

    # -- Commits: what the writer tells ------------------------------------------------------

    def before_commit(self, batch: Batch) -> None:
        for consumer in self._changed:
            batch.values["consumer", consumer.name] = encode(consumer.progress())
        self._changed.clear()
        if self.recorder is not None:
            self.recorder.write(batch)
        self._written, self._waiting = self._waiting, []

    def committed(self, batch: Batch, receipts: list[Receipt]) -> None:
        self.counts["commits"] += 1
        if self.trouble and not self._store.is_full:
            self._host.log.warning("the journal writes again")
            self.trouble = ""
        self._upkeep.committed(batch)
        self._find_unexpected(receipts)
        written, self._written = self._written, []
        for receipt, (future, envelope) in zip(receipts, written, strict=True):
            consumers: tuple[Consumer, ...] = ()
            if receipt.is_duplicate:
                self.counts["repeated"] += 1
            else:
                self.counts["written"] += 1
                consumers = self._interested(envelope.topic)
                for consumer in consumers:
                    consumer.offer(receipt.sequence, envelope)
            if not future.done():
                future.set_result(len(consumers))
        self._newest = self.last
        for consumer in self.consumers.values():
            if not consumer.is_behind:
                consumer.next = self.last + 1
            elif consumer.outlets:
                self.lags(consumer)
        self._lag = self._measure_lag()
        self._let_in()

    def _find_unexpected(self, receipts: list[Receipt]) -> None:
        """What was refused amid a failure of the disk may be there: it is read as any other."""
        if self.last - sum(not receipt.is_duplicate for receipt in receipts) > self._newest:
            for consumer in self.consumers.values():
                consumer.is_behind = True

    def refused(self, batch: Batch, error: BaseException) -> None:
        """Nothing of *batch* was written: its publishers are told, the rest is tried again."""
        self.counts["refused"] += len(batch.appends)
        if not self.trouble:
            self._host.log.error("the journal cannot write: %s", error)
            self._host.tell_error("ACTION_ERROR", error, store=self._settings.store)
        self.trouble = str(error)
        written, self._written = self._written, []
        for future, envelope in written:
            self._refuse(future, envelope)
        self._refuse_all()
        self._keep(batch)
        self._upkeep.mend(lambda: bool(self.trouble))

    def _refuse(self, future: asyncio.Future[int], envelope: Envelope) -> None:
        if not future.done():
            text = f"{envelope.topic} was not written: {self.trouble}"
            future.set_exception(JournalUnavailable(text))

    def _keep(self, batch: Batch) -> None:
        """Keep for a later commit what is not an event: nobody else would write it again."""
        next_one = self.writer.batch
        next_one.removals[:0] = batch.removals
        next_one.values = {**batch.values, **next_one.values}

    def _refuse_all(self) -> None:
        """Tell those who wait for a later commit that nothing can be written."""
        appends, self.writer.batch.appends = self.writer.batch.appends, []
        waiting, self._waiting = self._waiting, []
        self.counts["refused"] += len(appends)
        for future, envelope in waiting:
            self._refuse(future, envelope)
        while self._held:
            future, envelope, _ = self._held.popleft()
            self._refuse(future, envelope)

    def _damaged(self, error: JournalDamaged) -> None:
        self._damage = str(error)

    # -- the end -----------------------------------------------------------------------------

    async def _stop(self, event: Envelope) -> None:
        """Give nobody more: what is on the disk is for the next start."""
        for consumer in self.consumers.values():
            consumer.is_ending = True

    def health(self) -> Health:
        """What it holds, and whether it can write."""
        left = float(sum(len(consumer.left) for consumer in self.consumers.values()))
        metrics = {name: float(count) for name, count in self.counts.items()}
        metrics |= {"records": float(self.last - self._store.first + 1), "left": left}
        problem = self.trouble or self._damage
        return Health(not problem, problem or "ok", metrics | {"lag": float(self._measure_lag())})

    async def aclose(self) -> None:
        """Write what is left and close the store."""
        self._bus.make_durable = plain
        self.intake.close()
        for outlet in [one for consumer in self.consumers.values() for one in consumer.outlets]:
            outlet.close()
        self.keep_progress()
        self.writer.call()
        await self.writer.aclose()
        self._store.close()
        self._slots.close()
