"""`timers`: what a running Loom has, as the plugin that keeps it answers."""

from __future__ import annotations

from pathlib import Path

import click
from loom.instance import answer_of, find_instance, instance_options, json_option, say_records


@click.command()
@instance_options
@json_option
def timers(folder: str | None, state: Path | None, as_json: bool) -> None:
    """List the timers of a running Loom.

    \b
    loom timers
    loom timers --json
    """
    found = answer_of(find_instance(folder, state), "timer.list")["timers"]
    say_records(found, ("name", "schedule", "topic", "next"), as_json=as_json)
