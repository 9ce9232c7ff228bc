"""What a timer is: the table a user writes in loom.toml, or an agent sends over the bus."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError
from loom_kernel import InvalidTopic, check_topic

from loom_plugin_timers.duration import milliseconds
from loom_plugin_timers.schedule import Cron, Every, Instant, Once, Schedule, to_instant

SHORTEST_PERIOD = 1_000
LARGEST_DATA = 65_536
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_KINDS = ("cron", "every", "at")
_REQUESTS = {"schedule", "cancel", "list"}


class TimerSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One `[plugins.timers.timer.<name>]` table. Exactly one of cron, every and at is given.

    Raises:
        ValueError: a value is wrong; the text names the key and what it may be.
    """

    cron: str = ""
    every: str | int | float = ""
    at: Any = ""
    timezone: str = ""
    missed: Literal["run-once", "skip", "run-all"] = "run-once"
    max_late: str | int | float | None = None
    jitter: str | int | float = 0
    topic: str = ""
    data: dict[str, Any] = {}

    def __post_init__(self) -> None:
        given = [kind for kind in _KINDS if getattr(self, kind) not in ("", None)]
        if len(given) != 1:
            raise ValueError(f"give exactly one of cron, every and at, not {given or 'none'}")
        _check_data(self.data)
        if self.topic:
            _check_topic(self.topic)
        _ = self.jitter_ms, self.tolerance_ms
        self.schedule(ZoneInfo("UTC"), anchor=0)

    @cached_property
    def jitter_ms(self) -> int:
        return milliseconds(self.jitter)

    @cached_property
    def tolerance_ms(self) -> int | None:
        """How late a run may still start; None is without limit."""
        if self.max_late is not None:
            return milliseconds(self.max_late) + self.jitter_ms
        return 60_000 + self.jitter_ms if self.missed == "skip" else None

    def schedule(self, default_zone: ZoneInfo, anchor: Instant) -> Schedule:
        """The instants this table asks for; an interval counts from *anchor*."""
        zone = find_zone(self.timezone) if self.timezone else default_zone
        if self.cron:
            return Cron(_check_cron(self.cron), zone)
        if self.every != "":
            return Every(_check_period(self.every), anchor)
        return Once(_parse_moment(self.at, zone))


def check_name(name: str) -> str:
    """A timer's name is a topic token and a file name.

    Raises:
        ValueError: it could not be both on every platform.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a timer; use 1 to 64 of a-z, 0-9, - and _, "
            "beginning with a letter or digit"
        )
    if name in _REQUESTS:
        raise ValueError(f"timer.{name} is a request, so no timer can have that name")
    return name


def find_zone(name: str) -> ZoneInfo:
    """The IANA time zone *name*; `local` is the machine's.

    Raises:
        ValueError: there is no such zone.
    """
    if name == "local":
        return _local_zone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"unknown time zone {name!r}; use an IANA name such as 'Europe/Berlin', or 'local'"
        ) from error


def _local_zone() -> ZoneInfo:
    import tzlocal

    zone = tzlocal.reload_localzone()  # not what it was when somebody first asked
    if not getattr(zone, "key", None) or zone.key == "local":
        raise ValueError("the machine's time zone has no name; set timezone to an IANA name")
    return ZoneInfo(zone.key)


def _check_cron(expression: str) -> str:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    try:
        first = next(CronSim(expression, start), None)
    except CronSimError as error:
        raise ValueError(
            f"cron = {expression!r}: {error}; the fields are "
            "minute hour day month weekday, as in '0 8 * * mon-fri'"
        ) from error
    if first is None:
        raise ValueError(f"cron = {expression!r} names a moment that never comes")
    return " ".join(expression.split())


def _check_period(every: str | float) -> int:
    period = milliseconds(every)
    if period < SHORTEST_PERIOD:
        raise ValueError(f"every = {every!r} is under the shortest period of a timer, one second")
    return period


def _parse_moment(at: object, zone: ZoneInfo) -> Instant:
    moment = at
    if isinstance(at, str):
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise ValueError(f"at = {at!r} is not a date and time such as '2026-12-01T08:00:00'")
    if moment.tzinfo is None:
        moment = _place(moment, zone)
    return to_instant(moment)


def _place(naive: datetime, zone: ZoneInfo) -> datetime:
    """*naive* on the wall clocks of *zone*; of a repeated hour the first pass is meant."""
    local = naive.replace(tzinfo=zone, fold=0)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise ValueError(f"at = '{naive.isoformat()}' does not exist in {zone}: clocks skip it")
    return local


def _check_topic(topic: str) -> None:
    try:
        check_topic(topic)
    except InvalidTopic as error:
        raise ValueError(str(error)) from error
    if topic.startswith("$"):
        raise ValueError(f"topic {topic!r} belongs to the runtime")


def _check_data(data: dict[str, Any]) -> None:
    try:
        size = len(json.dumps(data, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise ValueError(f"data has no JSON form: {error}") from error
    if size > LARGEST_DATA:
        raise ValueError(f"data is {size} bytes, a timer may carry {LARGEST_DATA}")
