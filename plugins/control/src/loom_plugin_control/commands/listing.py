"""`list`: what agents, tools and timers a running Loom has, as their plugins answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from loom_plugin_control.client import ask
from loom_plugin_control.instance import find_instance, instance_options
from loom_plugin_control.rendering import record_table, say

TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "agents": ("agent.list", ("id", "state", "handled", "waiting", "failed", "topics")),
    "tools": ("tool.list", ("name", "version", "provider", "owner", "description")),
    "timers": ("timer.list", ("name", "schedule", "topic", "next")),
}


@click.command("list")
@instance_options
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.argument("what", type=click.Choice(sorted(TABLES)))
def list_command(what: str, folder: str | None, state: Path | None, as_json: bool) -> None:
    """List the agents, tools or timers of a running Loom.

    \b
    loom list agents
    loom list tools --json
    """
    topic, columns = TABLES[what]
    line = ask(find_instance(folder, state), "request", within=10.0, timeout=5.0, topic=topic)
    found: list[dict[str, Any]] = line["event"]["data"][what]
    click.echo(json.dumps(found)) if as_json else say(record_table(found, columns))
