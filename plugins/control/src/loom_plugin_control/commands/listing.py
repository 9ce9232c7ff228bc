"""`timers`: what a running Loom has, as the plugin that keeps it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from loom.instance import answer_of, find_instance, instance_options, record_table, say

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


def show(records: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    """Print *records*: all of them as JSON, or their *columns* as a table."""
    click.echo(json.dumps(records)) if as_json else say(record_table(records, columns))


@click.command()
@instance_options
@_as_json
def timers(folder: str | None, state: Path | None, as_json: bool) -> None:
    """List the timers of a running Loom.

    \b
    loom timers
    loom timers --json
    """
    found = answer_of(find_instance(folder, state), "timer.list")["timers"]
    show(found, ("name", "schedule", "topic", "next"), as_json=as_json)
