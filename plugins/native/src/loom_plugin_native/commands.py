"""`loom undo`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    answer_of,
    find_instance,
    instance_options,
    printable,
    record_table,
    say,
)

COLUMNS = ("number", "time", "path", "tool", "caller", "what")


@click.command()
@click.argument("which", required=False, default="")
@click.option("--list", "is_list", is_flag=True, help="Show what can be undone, newest first.")
@click.option("--force", is_flag=True, help="Also if the file has been changed since.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@instance_options
def undo(
    which: str, is_list: bool, force: bool, as_json: bool, folder: str | None, state: Path | None
) -> None:
    """Undo a change that a tool made to a file: the latest, or WHICH (its number or call id).

    The file is as it was before, with its mode. An undo is a change too, so it can be undone.

    \b
    loom undo --list
    loom undo            # the latest change
    loom undo 12
    loom undo 12 --force # although the file has been changed since
    """
    paths = find_instance(folder, state)
    if is_list:
        _show(_ask(paths, "undo.list", None)["changes"], as_json)
        return
    undone = _ask(paths, "undo.revert", {"which": which, "force": force})["undone"]
    if as_json:
        click.echo(json.dumps(undone))
    else:
        what = "is deleted again" if undone["before"] == "absent" else "is as it was"
        say(printable(f"{undone['path']} {what} before change {undone['number']}"))


def _ask(paths: Any, topic: str, data: Any) -> Any:
    answer = answer_of(paths, topic, data, timeout=30.0)
    if answer["code"] != "ACTION_OK":
        raise CommandFailed(answer["message"])
    return answer


def _show(changes: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(changes))
    elif not changes:
        say("nothing to undo: no tool has changed a file")
    else:
        say(record_table(map(_row, changes), COLUMNS))


def _row(change: dict[str, Any]) -> dict[str, Any]:
    moment = datetime.fromtimestamp(change["time"], UTC).astimezone()
    before, after = (_state(change, side) for side in ("before", "after"))
    lost = "" if change["can_be_undone"] else " (not kept)"
    return {
        **change,
        "time": moment.strftime("%Y-%m-%d %H:%M:%S"),
        "what": f"{before} → {after}{lost}",
    }


def _state(change: dict[str, Any], side: str) -> str:
    kind, size = change[side], change[f"{side}_bytes"]
    return f"{size} bytes" if kind == "file" else str(kind)
