"""`loom journal`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from loom.instance import CommandFailed, NotRunning, instance_options, json_option, printable, say

from loom_plugin_journal.commands.asking import (
    ask,
    opened,
    show_table,
    tell,
)

CONSUMERS = ("name", "behind", "in_hand", "patterns")
CALLS = ("caller", "id", "name", "time")


@click.group()
def journal() -> None:
    """See how the journal is, prove it, and say what became of calls that a crash cut short.

    \b
    loom journal status
    loom journal verify
    loom journal unknown
    """


@journal.command()
@json_option
@instance_options
def status(as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show what the journal holds, and how far each durable consumer is.

    \b
    loom journal status --json
    """
    found = ask(folder, state, "journal.status")
    if as_json:
        click.echo(json.dumps(found))
        return
    numbers = found["status"]
    healthy = "writes" if numbers["healthy"] else f"cannot write: {numbers['message']}"
    say(printable(f"{numbers['records']:g} records, {numbers['left']:g} in hand; it {healthy}"))
    show_table(found["consumers"], CONSUMERS, "no durable consumers", as_json=False)


@journal.command()
@json_option
@instance_options
def verify(as_json: bool, folder: str | None, state: Path | None) -> None:
    """Read the whole journal and prove that it is what was written. Exit code 1 = it is not.

    Works whether or not a Loom runs.

    \b
    loom journal verify
    """
    try:
        count = ask(folder, state, "journal.verify")["records"]
    except NotRunning:
        with opened(folder, state) as store:
            count = store.verify()
    if as_json:
        click.echo(json.dumps({"records": count}))
    else:
        say(f"whole: {count} records")


@journal.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@instance_options
def snapshot(file: Path, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Write a copy of the journal, whole and of one moment, to FILE; Loom goes on meanwhile.

    To go back to it, put it in the place of journal.db while Loom does not run. Works whether or
    not a Loom runs.

    \b
    loom journal snapshot backup.db
    """
    if file.exists():
        raise CommandFailed(f"{file} is there already; name another")
    target = file.absolute()
    try:
        done = ask(folder, state, "journal.snapshot", name=str(target))
    except NotRunning:
        with opened(folder, state) as store:
            store.snapshot(target)
            done = {"snapshot": str(target), "records": store.last - store.first + 1}
    tell(done, "is written", as_json)


@journal.command()
@click.argument("name")
@json_option
@instance_options
def forget(name: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Keep no more events for the durable consumer NAME, which nobody is any more.

    \b
    loom journal forget agent:old-planner
    """
    tell(ask(folder, state, "journal.forget", name=name), "is forgotten", as_json)


@journal.command()
@json_option
@instance_options
def unknown(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List calls that were begun before a crash, and of which nobody knows whether they happened.

    \b
    loom journal unknown --json
    """
    found = ask(folder, state, "journal.unknown")["calls"]
    show_table(found, CALLS, "nothing is unknown", as_json=as_json)


@journal.command()
@click.argument("caller")
@click.argument("id")
@click.option("--happened/--not", "happened", default=None, help="What you found out.")
@json_option
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
    done = ask(folder, state, "journal.settle", caller=caller, id=id, happened=happened)
    tell({"settled": done["settled"]["id"]}, "is settled", as_json)
