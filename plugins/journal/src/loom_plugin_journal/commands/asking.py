"""What the journal's commands share: asking a running Loom, opening a resting one, saying it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from loom.instance import (
    CommandFailed,
    answer_of,
    find_instance,
    parse_duration,
    printable,
    say,
    say_records,
)
from loom_kernel import LoomError, RealClock

if TYPE_CHECKING:
    from loom_plugin_journal.records import Store

TIMEOUT = 60.0


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A time: `10m` (ago), `2026-11-26T08:00`, or UNIX seconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        with suppress(click.BadParameter):
            return RealClock().time() - parse_duration(value)
        with suppress(ValueError):
            return float(value)
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            self.fail(f"{value!r} is no time: write 10m, 2h, 1d, or 2026-11-26T08:00", param, ctx)


def ask(folder: str | None, state: Path | None, topic: str, /, **data: Any) -> dict[str, Any]:
    answer: dict[str, Any] = answer_of(find_instance(folder, state), topic, data, timeout=TIMEOUT)
    if failure := answer.get("error"):
        raise CommandFailed(failure["message"])
    return answer


@contextmanager
def opened(folder: str | None, state: Path | None) -> Iterator[Store]:
    """The journal of a Loom that does not run."""
    from loom_plugin_journal.sqlite import FILE, SqliteStore

    where = find_instance(folder, state).of("journal").state
    if not (where / FILE).exists():
        raise CommandFailed(f"there is no journal in {where}; the plugin 'journal' writes it")
    try:
        store = SqliteStore(where)
        try:
            yield store
        finally:
            store.close()
    except LoomError as error:
        raise CommandFailed(str(error)) from None


def when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().isoformat(" ", "seconds")


def show_table(
    records: list[dict[str, Any]], columns: tuple[str, ...], nothing: str, *, as_json: bool
) -> None:
    """Print *records* as a table, with times as people read them; *nothing* if there are none."""
    if not as_json:
        records = [{**one, "time": when(one["time"])} if "time" in one else one for one in records]
    say_records(records, columns, as_json=as_json, none=nothing)


def tell(done: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done))
    else:
        say(printable(f"{next(iter(done.values()))} {what}"))
