"""Timers made while Loom runs: what `timer.schedule`, `timer.cancel` and `timer.list` answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from loom_kernel import Envelope, Host

from loom_plugin_timers.duration import milliseconds
from loom_plugin_timers.ledger import Origin
from loom_plugin_timers.schedule import Instant, isoformat, to_datetime
from loom_plugin_timers.spec import TimerSpec, check_name
from loom_plugin_timers.timekeeper import Timekeeper, Timer

Answer = dict[str, Any]
_OWN_KEYS = {"name", "in", "replace"}


class Refused(ValueError):
    """A request that cannot be granted; the text goes back to the requester."""


class Requests:
    """Answers requests on the bus; everything it grants is durable when the answer leaves."""

    def __init__(self, host: Host, timekeeper: Timekeeper, limit: int) -> None:
        self._host = host
        self._timekeeper = timekeeper
        self._limit = limit

    def open(self) -> None:
        self._host.on("timer.schedule", handler=self._answering(self.schedule))
        self._host.on("timer.cancel", handler=self._answering(self.cancel))
        self._host.on("timer.list", handler=self._answering(self.list))

    def schedule(self, envelope: Envelope) -> Answer:
        """Start the timer described by the request, or say what is wrong with it."""
        wanted = _table(envelope.data)
        name = check_name(str(wanted.get("name") or f"t-{envelope.id}"))
        now = self._timekeeper.now()
        spec = self._spec(wanted, now)
        known = self._timekeeper.get(name)
        if known is not None and (known.is_fixed or not wanted.get("replace")):
            raise Refused(_taken(name, known))
        if known is None and sum(not timer.is_fixed for timer in self._timekeeper) >= self._limit:
            raise Refused(f"there are {self._limit} timers already; cancel one, or raise `limit`")
        timer = self._timekeeper.add(name, spec, _origin(envelope), now)
        return {"timer": describe(timer)}

    def cancel(self, envelope: Envelope) -> Answer:
        """Forget the named timer and everything it still had ahead."""
        name = str(_table(envelope.data).get("name"))
        timer = self._timekeeper.get(name)
        if timer is None:
            raise Refused(f"there is no timer {name!r}; timer.list names them")
        if timer.is_fixed:
            raise Refused(f"timer {name!r} is defined in the configuration; remove it there")
        answer = {"timer": describe(timer)}
        self._timekeeper.remove(name)
        return answer

    def list(self, envelope: Envelope) -> Answer:
        return {"timers": [describe(timer) for timer in self._timekeeper]}

    def _spec(self, wanted: dict[str, Any], now: Instant) -> TimerSpec:
        table = {key: value for key, value in wanted.items() if key not in _OWN_KEYS}
        if "in" in wanted:
            if table.keys() & {"at", "cron", "every"}:
                raise Refused("give exactly one of in, at, every and cron")
            table["at"] = isoformat(now + milliseconds(wanted["in"]))
        spec = msgspec.convert(table, TimerSpec)
        if spec.topic and not spec.topic.startswith("timer."):
            # The event carries this plugin's identity, so the requester may not aim it anywhere.
            raise Refused(f"topic {spec.topic!r} must begin with 'timer.'")
        check_name(spec.topic.removeprefix("timer.") or "any")
        self._check_ahead(spec, now)
        return spec

    def _check_ahead(self, spec: TimerSpec, now: Instant) -> None:
        schedule = spec.schedule(self._timekeeper.zone_of(spec), now)
        if schedule.after(now) is None:
            raise Refused(f"{schedule.identity} is over; it is {isoformat(now)} now")

    def _answering(self, act: Callable[[Envelope], Answer]) -> Any:
        async def answer(envelope: Envelope) -> None:
            try:
                result = {"code": "ACTION_OK", **act(envelope)}
            except (ValueError, msgspec.ValidationError) as error:
                result = {"code": "INVALID_PARAMS", "message": str(error)}
            except OSError as error:
                problem = f"it could not be written down: {error.strerror}"
                result = {"code": "ACTION_ERROR", "message": problem}
            if envelope.reply_to:
                await self._host.reply(envelope, result)

        return answer


def describe(timer: Timer) -> Answer:
    """A timer as `timer.list` shows it; times are UTC, *local* is in the timer's zone."""
    ledger = timer.ledger
    coming = ledger.next_run()
    return {
        "name": ledger.name,
        "schedule": ledger.record.identity,
        "topic": timer.topic,
        "next": isoformat(coming) if coming is not None else None,
        "local": to_datetime(coming, timer.zone).isoformat() if coming is not None else None,
        "missed": ledger.spec.missed,
        "fixed": timer.is_fixed,
        "last": isoformat(ledger.record.ran[-1][1]) if ledger.record.ran else None,
    }


def _table(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Refused(f"send a table such as {{'in': '10m'}}, not {type(data).__name__}")
    return data


def _origin(envelope: Envelope) -> Origin:
    return Origin(
        thread_id=envelope.thread_id,
        correlation_id=envelope.correlation_id,
        labels=tuple(sorted(envelope.labels)),
    )


def _taken(name: str, known: Timer) -> str:
    if known.is_fixed:
        return f"timer {name!r} is defined in the configuration; choose another name"
    return f"timer {name!r} exists; choose another name, or send replace = true"
