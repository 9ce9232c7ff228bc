"""`agents`: the agents of a running Loom, and what can be done with one."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    answer_of,
    find_instance,
    instance_options,
    json_option,
    printable,
    say,
    say_records,
)
from loom_kernel import Paths

COLUMNS = (
    "id", "state", "status", "kind", "pid", "restarts", "reason", "handled", "waiting", "failed",
    "topics",
)  # fmt: skip
LOOK = 1.0
"""Seconds between two looks with `--watch`."""
PATIENCE = 20.0
"""Seconds that a process has to end and another one to start."""

_id = click.argument("id", metavar="ID")
_pattern = click.argument("pattern", metavar="PATTERN")


@click.group(invoke_without_command=True)
@instance_options
@json_option
@click.option("--watch", is_flag=True, help="Show them again whenever something changes.")
@click.pass_context
def agents(
    ctx: click.Context, folder: str | None, state: Path | None, as_json: bool, watch: bool
) -> None:
    """List the agents of a running Loom, or change one: see the commands below.

    A child process runs all agents of one file: starting, stopping or restarting one of them
    does that to all of them.

    \b
    loom agents
    loom agents --watch
    loom agents restart planner
    loom agents subscribe planner 'news.>'
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = folder, state
        return
    paths = find_instance(folder, state)
    if watch:
        _watch(paths, as_json=as_json)
    say_records(_all(paths), COLUMNS, as_json=as_json)


def _all(paths: Paths) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer_of(paths, "agent.list")["agents"]
    return found


def _watch(paths: Paths, *, as_json: bool) -> None:
    """Show the agents whenever there is something new, until Ctrl-C."""
    never, shown = threading.Event(), None
    while True:
        found = _all(paths)
        if _visible(found) != shown:
            if not as_json:
                click.clear()  # only of a terminal
            say_records(found, COLUMNS, as_json=as_json)
            shown = _visible(found)
        never.wait(LOOK)


def _visible(found: list[dict[str, Any]]) -> list[list[Any]]:
    return [[record[column] for column in COLUMNS] for record in found]


def _command(action: str, help: str, *arguments: Any) -> None:
    """Add `agents ACTION ID`."""

    def run(folder: str | None, state: Path | None, as_json: bool, **asked: str) -> None:
        above: tuple[str | None, Path | None] = click.get_current_context().obj or (None, None)
        paths = find_instance(folder or above[0], state or above[1])
        request = {"action": action, "topic": asked.pop("pattern", ""), **asked}
        answer = answer_of(paths, "agent.control", request, timeout=PATIENCE)
        if problem := answer.get("error"):
            raise CommandFailed(problem)
        click.echo(json.dumps(answer)) if as_json else say(_line(answer))

    for decorate in (*reversed(arguments), json_option, instance_options):
        run = decorate(run)
    agents.command(action, help=help)(run)


def _line(record: dict[str, Any]) -> str:
    """How an agent is, in a line."""
    pid = f", process {record['pid']}" if record["pid"] else ""
    reason = f" ({record['reason']})" if record["state"] in ("restarting", "quarantined") else ""
    topics = ", ".join(record["topics"]) or "nothing"
    return printable(f"{record['id']} is {record['state']}{reason}{pid}; it receives {topics}")


_command("start", "Let agent ID receive events.", _id)
_command("stop", "Let agent ID finish, and stop it.", _id)
_command("restart", "Stop agent ID and start it anew.", _id)
_command("subscribe", "Let agent ID receive PATTERN too.", _id, _pattern)
_command("unsubscribe", "Let agent ID receive PATTERN no more.", _id, _pattern)
