"""`loom events`, `loom dlq`, `loom journal`."""

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
    NotRunning,
    answer_of,
    find_instance,
    instance_options,
    printable,
    record_table,
    say,
)
from loom_kernel import LoomError

if TYPE_CHECKING:
    from loom_plugin_journal.records import Store

TIMEOUT = 60.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
LETTERS = ("id", "topic", "time", "failures", "crashes", "error", "reason")
CONSUMERS = ("name", "behind", "in_hand", "patterns")
CALLS = ("caller", "id", "name", "time")

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


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


@click.command()
@click.option("--topic", default=">", help="A pattern of topics.")
@click.option("--thread", default="", help="One conversation.")
@click.option("--type", "type_", default="", help="Events of this type.")
@click.option("--sender", default="", help="What this one published.")
@click.option("--since", type=Moment(), default=0.0, help="Not before: 10m (ago), or a time.")
@click.option("--until", type=Moment(), default=0.0, help="Before this time.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="After this record.")
@click.option("--last", type=click.IntRange(min=1), default=None, help="Only the newest N.")
@_as_json
@instance_options
def events(
    topic: str,
    thread: str,
    type_: str,
    sender: str,
    since: float,
    until: float,
    after: int,
    last: int | None,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Look into the log of events, the oldest first. Works whether or not a Loom runs.

    In the log is what durable consumers (agents) want, and what the setting topics names. With
    --json each line is one event.

    \b
    loom events --last 20
    loom events --since 10m --topic 'file.>'
    loom events --thread 0193… --json
    """
    query = {
        "topic": topic, "thread": thread, "type": type_, "sender": sender, "since": since,
        "until": until, "after": after, "last": last or 0,
    }  # fmt: skip
    found = _query(folder, state, query)
    for event in found:
        if as_json:
            click.echo(json.dumps(event, ensure_ascii=False))
        else:
            say(_line(event))
    if not found and not as_json:
        say("no such events")


@click.group()
def dlq() -> None:
    """Look at events that were given up (dead letters); deliver them again, or drop them.

    \b
    loom dlq list
    loom dlq show agent:planner/1204
    loom dlq replay agent:planner/1204
    """


@dlq.command("list")
@_as_json
@instance_options
def list_letters(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List what was given up, the oldest first.

    \b
    loom dlq list --json
    """
    found = _ask(folder, state, "letter.list")["letters"]
    _show_table(found, LETTERS, as_json, "nothing was given up")


@dlq.command()
@click.argument("id")
@_as_json
@instance_options
def show(id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show a dead letter whole: why, and the event as it was published.

    \b
    loom dlq show agent:planner/1204
    """
    found = _ask(folder, state, "letter.show", id=id)
    click.echo(json.dumps(found, indent=None if as_json else 2, ensure_ascii=as_json))


@dlq.command()
@click.argument("id")
@_as_json
@instance_options
def replay(id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Deliver a dead letter to its consumer again, as if for the first time.

    \b
    loom dlq replay agent:planner/1204
    """
    _tell(_ask(folder, state, "letter.replay", id=id), "is delivered again", as_json)


@dlq.command()
@click.argument("id")
@_as_json
@instance_options
def drop(id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Drop a dead letter for good. The event stays in the log for as long as that is kept.

    \b
    loom dlq drop agent:planner/1204
    """
    _tell(_ask(folder, state, "letter.drop", id=id), "is dropped", as_json)


@click.group()
def journal() -> None:
    """See how the journal is, prove it, and say what became of calls that a crash cut short.

    \b
    loom journal status
    loom journal verify
    loom journal unknown
    """


@journal.command()
@_as_json
@instance_options
def status(as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show what the journal holds, and how far each durable consumer is.

    \b
    loom journal status --json
    """
    found = _ask(folder, state, "journal.status")
    if as_json:
        click.echo(json.dumps(found))
        return
    numbers = found["status"]
    healthy = "writes" if numbers["healthy"] else f"cannot write: {numbers['message']}"
    say(printable(f"{numbers['records']:g} records, {numbers['left']:g} in hand; it {healthy}"))
    _show_table(found["consumers"], CONSUMERS, False, "no durable consumers")


@journal.command()
@_as_json
@instance_options
def verify(as_json: bool, folder: str | None, state: Path | None) -> None:
    """Read the whole journal and prove that it is what was written. Exit code 1 = it is not.

    Works whether or not a Loom runs.

    \b
    loom journal verify
    """
    try:
        count = _ask(folder, state, "journal.verify")["records"]
    except NotRunning:
        with _opened(folder, state) as store:
            count = store.verify()
    if as_json:
        click.echo(json.dumps({"records": count}))
    else:
        say(f"whole: {count} records")


@journal.command()
@click.argument("name")
@_as_json
@instance_options
def forget(name: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Keep no more events for the durable consumer NAME, which nobody is any more.

    \b
    loom journal forget agent:old-planner
    """
    _tell(_ask(folder, state, "journal.forget", name=name), "is forgotten", as_json)


@journal.command()
@_as_json
@instance_options
def unknown(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List calls that were begun before a crash, and of which nobody knows whether they happened.

    \b
    loom journal unknown --json
    """
    found = _ask(folder, state, "journal.unknown")["calls"]
    _show_table(found, CALLS, as_json, "nothing is unknown")


@journal.command()
@click.argument("caller")
@click.argument("id")
@click.option("--happened/--not", "happened", default=None, help="What you found out.")
@_as_json
@instance_options
def settle(
    caller: str,
    id: str,
    happened: bool | None,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Say what became of a call: it --happened, or it did --not and may be made again.

    \b
    loom journal settle writer 0193…/call/mail:send/1 --happened
    """
    if happened is None:
        raise click.UsageError("say --happened or --not")
    done = _ask(folder, state, "journal.settle", caller=caller, id=id, happened=happened)
    _tell({"settled": done["settled"]["id"]}, "is settled", as_json)


# -- asking -----------------------------------------------------------------------------------


def _ask(folder: str | None, state: Path | None, topic: str, **data: Any) -> dict[str, Any]:
    answer: dict[str, Any] = answer_of(find_instance(folder, state), topic, data, timeout=TIMEOUT)
    if failure := answer.get("error"):
        raise CommandFailed(failure["message"])
    return answer


def _query(folder: str | None, state: Path | None, query: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = _ask(folder, state, "journal.events", **query)["events"]
    except NotRunning:
        import msgspec

        from loom_plugin_journal import queries

        with _opened(folder, state) as store:
            found = queries.events(store, msgspec.convert(query, queries.Query))
    return found


@contextmanager
def _opened(folder: str | None, state: Path | None) -> Iterator[Store]:
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


# -- saying -----------------------------------------------------------------------------------


def _line(event: dict[str, Any]) -> str:
    data = json.dumps(event.get("data"), ensure_ascii=False)
    shown = data if len(data) <= 120 else f"{data[:120]}…"
    when = _when(event["time"])
    return printable(f"{event['sequence']}  {when}  {event['topic']}  {event['sender']}  {shown}")


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().isoformat(" ", "seconds")


def _show_table(
    records: list[dict[str, Any]], columns: Iterable[str], as_json: bool, nothing: str
) -> None:
    if as_json:
        click.echo(json.dumps(records))
        return
    for record in records:
        if "time" in record:
            record["time"] = _when(record["time"])
        if "patterns" in record:
            record["patterns"] = " ".join(record["patterns"])
    say(record_table(records, tuple(columns)) if records else nothing)


def _tell(done: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done))
    else:
        say(printable(f"{next(iter(done.values()))} {what}"))
