"""Waits for the next instant of each timer and publishes it, by the book."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from loom_kernel import BusClosed, Envelope, Health, Host, LoomError

from loom_plugin_timers.ledger import Ledger, Missed, Origin, Record, Run, open_record
from loom_plugin_timers.schedule import Instant, isoformat
from loom_plugin_timers.settings import Settings
from loom_plugin_timers.spec import TimerSpec, find_zone
from loom_plugin_timers.store import Store

LONGEST_NAP = 60.0
"""Seconds after which a waiting timer looks at the wall clock again, in case it was set."""


@dataclass(slots=True)
class Timer:
    """A timer at work."""

    ledger: Ledger
    zone: ZoneInfo
    task: asyncio.Task[Any] | None = field(default=None)

    @property
    def is_fixed(self) -> bool:
        """Whether it comes from loom.toml, so that the bus may not change it."""
        return self.ledger.record.spec is None

    @property
    def topic(self) -> str:
        return self.ledger.spec.topic or f"timer.{self.ledger.name}"


class Timekeeper:
    """Keeps every timer; one task each, asleep until its next instant."""

    def __init__(self, host: Host, settings: Settings, store: Store) -> None:
        self._host = host
        self._settings = settings
        self._store = store
        self._zone = find_zone(settings.timezone)
        self._timers: dict[str, Timer] = {}
        # A timer's events have no cause: one that is made while a request is handled must not
        # inherit that request's hops, or timers that make timers would end after sixteen.
        self._context = copy_context()
        self._listeners_are_there = asyncio.Event()

    def __iter__(self) -> Iterator[Timer]:
        return iter(self._timers.values())

    def get(self, name: str) -> Timer | None:
        return self._timers.get(name)

    def now(self) -> Instant:
        return round(self._host.clock.time() * 1000)

    def zone_of(self, spec: TimerSpec) -> ZoneInfo:
        return find_zone(spec.timezone) if spec.timezone else self._zone

    def health(self) -> Health:
        coming = [due for timer in self if (due := timer.ledger.next_run()) is not None]
        ahead = f"next at {isoformat(min(coming))}" if coming else "none has a run ahead"
        return Health(message=ahead, metrics={"timers": len(self._timers)})

    def open(self) -> None:
        """Take up every timer of the configuration and every one that was made over the bus."""
        saved, now = self._store.load(), self.now()
        for name, spec in self._settings.timer.items():
            record = saved.pop(name, None)
            self._begin(name, spec, record if record and not record.spec else None, now)
        for name, record in saved.items():
            if record.spec is None:
                self._store.delete(name)
            else:
                self._begin(name, record.spec, record, now)

    async def begin(self, _ready: Envelope) -> None:
        """Let the timers run. Before every plugin is attached a late run would go to nobody."""
        self._listeners_are_there.set()

    def add(self, name: str, spec: TimerSpec, origin: Origin, now: Instant) -> Timer:
        """Start, as of *now*, a timer that outlives this process; it replaces its namesake."""
        self.remove(name)
        return self._begin(name, spec, None, now, origin)

    def remove(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            if timer.task is not None:
                timer.task.cancel()
            self._store.delete(name)

    def _begin(
        self,
        name: str,
        spec: TimerSpec,
        saved: Record | None,
        now: Instant,
        origin: Origin | None = None,
    ) -> Timer:
        zone = self.zone_of(spec)
        made_by_request = spec if origin is not None else None
        record = open_record(spec.schedule(zone, now), saved, now, made_by_request, origin)
        ledger = Ledger(name, spec, spec.schedule(zone, record.anchor), record)
        if record is not saved:
            self._store.save(name, record, durable=True)
        timer = Timer(ledger, zone)
        self._timers[name] = timer
        if ledger.next_run() is None and record.started is None:
            self._host.log.warning("timer %s has no run ahead: %s", name, record.identity)
        timer.task = self._context.run(self._host.spawn, self._keep(timer), f"timer {name}")
        return timer

    async def _keep(self, timer: Timer) -> None:
        ledger = timer.ledger
        await self._listeners_are_there.wait()
        try:
            while (due := await self._catch_up(timer)) is not None:
                nap = max(due - self.now(), 1) / 1000
                await self._host.clock.sleep(min(nap, LONGEST_NAP))
        except BusClosed:
            return
        if not timer.is_fixed:
            self._timers.pop(ledger.name, None)
            self._store.delete(ledger.name)

    async def _catch_up(self, timer: Timer) -> Instant | None:
        """Do all that is due and return when to look next."""
        ledger = timer.ledger
        ledger.follow_clock(self.now())
        plan = ledger.plan(self.now(), self._settings.catch_up)
        if plan.missed:
            await self._announce_missed(timer, plan.missed)
        for run in plan.runs:
            await self._run(timer, run)
        return ledger.next_run()

    async def _announce_missed(self, timer: Timer, missed: Missed) -> None:
        await self._publish_missed(timer, missed.count, missed.first, missed.last, missed.reason)
        timer.ledger.settle(missed.last)
        self._store.save(timer.ledger.name, timer.ledger.record, durable=True)

    async def _run(self, timer: Timer, run: Run) -> None:
        ledger = timer.ledger
        ledger.start(run)
        self._store.save(ledger.name, ledger.record, durable=True)
        try:
            await self._publish_run(timer, run)
        except BusClosed:
            ledger.abandon(run)  # nobody got it, so at the next start it is late, not interrupted
            self._store.save(ledger.name, ledger.record, durable=False)
            raise
        except LoomError as error:
            self._host.log.exception("timer %s could not be delivered everywhere", ledger.name)
            await self._publish_missed(timer, 1, run.scheduled, run.scheduled, str(error))
        ledger.finish(run)
        self._store.save(ledger.name, ledger.record, durable=False)

    async def _publish_run(self, timer: Timer, run: Run) -> None:
        ledger, fired = timer.ledger, self.now()
        data = {
            "name": ledger.name,
            "scheduled": isoformat(run.scheduled),
            "fired": isoformat(fired),
            "late_seconds": max(fired - run.scheduled, 0) / 1000,
            "missed": run.missed,
            "recovered": run.recovered,
            "timezone": timer.zone.key,
            "data": ledger.spec.data,
        }
        subject = f"{ledger.name}@{data['scheduled']}"
        await self._publish(timer, timer.topic, data, "timer.fired", subject)

    async def _publish_missed(
        self, timer: Timer, count: int, first: Instant, last: Instant, reason: str
    ) -> None:
        name = timer.ledger.name
        data = {
            "name": name,
            "count": count,
            "first": isoformat(first),
            "last": isoformat(last),
            "reason": reason,
            "policy": timer.ledger.spec.missed,
        }
        subject = f"{name}@{data['last']}"
        await self._publish(timer, f"timer.{name}.missed", data, "timer.missed", subject)

    async def _publish(
        self, timer: Timer, topic: str, data: dict[str, Any], type: str, subject: str
    ) -> None:
        origin = timer.ledger.record.origin
        await self._host.publish(
            topic,
            data,
            type,
            subject=subject,
            thread_id=origin.thread_id,
            correlation_id=origin.correlation_id,
            labels=frozenset(origin.labels),
            metadata={"idempotency-key": subject},  # a run that is told again is still one
        )
