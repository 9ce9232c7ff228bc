"""What the journal's commands share: asking a running Loom, opening a resting one, saying it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from loom.instance import (
    CommandFailed,
    answer_of,
    find_instance,
    printable,
    record_table,
    say,
)
from loom_kernel import LoomError

if TYPE_CHECKING:
    from loom_plugin_journal.records import Store

TIMEOUT = 60.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

as_json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A time: `10m` (ago), `2026-11-26T08:00`, or UNIX seconds."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        if ago := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value):
            return time.time() - float(ago[1]) * UNITS[ago[2]]
        try:
            return float(value)
        except ValueError:
            pass
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
    records: list[dict[str, Any]], columns: Iterable[str], as_json: bool, nothing: str
) -> None:
    if as_json:
        click.echo(json.dumps(records))
        return
    for record in records:
        if "time" in record:
            record["time"] = when(record["time"])
        if "patterns" in record:
            record["patterns"] = " ".join(record["patterns"])
    say(record_table(records, tuple(columns)) if records else nothing)


def tell(done: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done))
    else:
        say(printable(f"{next(iter(done.values()))} {what}"))
