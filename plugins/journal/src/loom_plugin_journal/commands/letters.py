"""`loom dlq`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from loom.instance import instance_options, json_option

from loom_plugin_journal.commands.asking import (
    ask,
    show_table,
    tell,
)

LETTERS = ("id", "topic", "time", "failures", "crashes", "error", "reason")


@click.group()
def dlq() -> None:
    """Look at events that were given up (dead letters); deliver them again, or drop them.

    \b
    loom dlq list
    loom dlq show agent:planner/1204
    loom dlq replay agent:planner/1204
    """


@dlq.command("list")
@json_option
@instance_options
def list_letters(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List what was given up, the oldest first.

    \b
    loom dlq list --json
    """
    found = ask(folder, state, "letter.list")["letters"]
    show_table(found, LETTERS, "nothing was given up", as_json=as_json)


@dlq.command()
@click.argument("id")
@json_option
@instance_options
def show(id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show a dead letter whole: why, and the event as it was published.

    \b
    loom dlq show agent:planner/1204
    """
    found = ask(folder, state, "letter.show", id=id)
    click.echo(json.dumps(found, indent=None if as_json else 2, ensure_ascii=as_json))


@dlq.command()
@click.argument("id")
@json_option
@instance_options
def replay(id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Deliver a dead letter to its consumer again, as if for the first time.

    \b
    loom dlq replay agent:planner/1204
    """
    tell(ask(folder, state, "letter.replay", id=id), "is delivered again", as_json)


@dlq.command()
@click.argument("id")
@json_option
@instance_options
def drop(id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Drop a dead letter for good. The event stays in the log for as long as that is kept.

    \b
    loom dlq drop agent:planner/1204
    """
    tell(ask(folder, state, "letter.drop", id=id), "is dropped", as_json)
