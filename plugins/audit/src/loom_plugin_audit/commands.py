"""`loom audit`: read it, prove it, take its head away."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import click
import msgspec
from loom.instance import (
    CommandFailed,
    find_instance,
    instance_options,
    json_option,
    printable,
    say,
)

from loom_plugin_audit.chain import Entry, Head
from loom_plugin_audit.journal import entries, read_head
from loom_plugin_audit.verification import verify as check


@click.group()
def audit() -> None:
    """Read the audit, and prove that nobody changed it.

    Every tool call, approval and decision is one line, chained to the one before it. Works
    whether or not a Loom runs.

    \b
    loom audit list --event 'tool.*'
    loom audit verify
    loom audit head >>somewhere-else.txt
    """


def _folder(folder: str | None, state: Path | None) -> Path:
    found = find_instance(folder, state).of("audit").state
    if not found.is_dir():
        raise CommandFailed(f"there is no audit in {found}; the plugin 'audit' writes it")
    return found


@audit.command("list")
@click.option("--event", default="*", help="Only events like this; * stands for anything.")
@click.option("--who", default="*", help="Only what these did.")
@click.option("--what", default="*", help="Only what was done to these.")
@click.option("--last", type=click.IntRange(min=1), default=None, help="Only the last N.")
@json_option
@instance_options
def list_command(
    event: str,
    who: str,
    what: str,
    last: int | None,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """List entries, the oldest first.

    \b
    loom audit list --who planner --last 20
    loom audit list --event 'approval.*' --json
    """
    found = [
        entry
        for entry in entries(_folder(folder, state))
        if fnmatchcase(entry.event, event)
        and fnmatchcase(entry.who, who)
        and fnmatchcase(entry.what, what)
    ]
    for entry in found[-(last or len(found)) :]:
        if as_json:
            click.echo(msgspec.json.encode(entry))
        else:
            say(_line(entry))


@audit.command()
@click.option("--head", "anchor", default="", help="A head (SEQ:HASH) that you wrote down.")
@json_option
@instance_options
def verify(anchor: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Prove that no entry was changed, put in, left out or cut off. Exit code 1 = one was.

    \b
    loom audit verify
    loom audit verify --head 1200:5c9f…
    """
    verdict = check(_folder(folder, state), _parse_head(anchor))
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(verdict), "whole": verdict.is_whole}))
    elif verdict.is_whole:
        say(f"whole: {verdict.entries} entries, head {verdict.head}")
    else:
        say("\n".join(f"not whole: {printable(problem)}" for problem in verdict.problems))
    if not verdict.is_whole:
        raise SystemExit(1)


@audit.command()
@instance_options
def head(folder: str | None, state: Path | None) -> None:
    """Print the head of the chain as SEQ:HASH. Kept elsewhere, it proves all that came before.

    \b
    loom audit head
    """
    found = read_head(_folder(folder, state)) or Head()
    click.echo(f"{found.seq}:{found.hash}")


def _parse_head(text: str) -> Head | None:
    if not text:
        return None
    seq, _, hash = text.partition(":")
    if not seq.isdecimal() or len(hash) != 64:
        raise click.BadParameter(f"{text!r} is no head; write SEQ:HASH, as `loom audit head` does")
    return Head(int(seq), hash)


def _line(entry: Entry) -> str:
    when = datetime.fromtimestamp(entry.time, UTC).astimezone().isoformat(" ", "seconds")
    more = " ".join(f"{name}={value}" for name, value in entry.details.items() if value != "")
    line = f"{entry.seq}  {when}  {entry.event}  {entry.who}  {entry.what}  {more}"
    return printable(line.rstrip())
