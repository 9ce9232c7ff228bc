"""`loom process`: see, trust and restart the plugins that run in processes of their own."""

from __future__ import annotations

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
    say_state,
)
from loom_kernel import Paths

PATIENCE = 15.0
"""Seconds: a plugin has ten to start."""
COLUMNS = ("name", "state", "pid", "restarts", "tools", "reason")


@click.group()
def process() -> None:
    """See, trust and restart the plugins that run in processes of their own.

    \b
    loom process list
    loom process list --json
    loom process trust words
    loom process trust words --yes
    loom process restart words
    """


@process.command("list")
@json_option
@instance_options
def list_command(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List the plugins of [process]: their state, and why it is so.

    \b
    loom process list
    loom process list --json
    """
    found = answer_of(find_instance(folder, state), "process.list")["plugins"]
    none = "no plugins in processes of their own; make one with: loom new process-tool NAME"
    say_records(found, COLUMNS, as_json=as_json, none=none)


@process.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@instance_options
def trust(name: str, yes: bool, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show exactly what NAME runs and may do, and let it run if you agree.

    What was agreed to is kept in tools.lock; whatever changes of it is asked for again.

    \b
    loom process trust words
    loom process trust words --yes
    """
    paths = find_instance(folder, state)
    seen = _control(paths, name, "inspect")
    if not as_json:
        _show(name, seen)
    if not seen["changes"]:
        record = seen["record"]
    else:
        if not yes:
            click.confirm(f"Let {name} run with this?", abort=True)
        record = _control(paths, name, "trust", shown=seen["shown"])
    say_state(record, as_json=as_json)


@process.command()
@click.argument("name")
@json_option
@instance_options
def restart(name: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """End NAME, in order if it can, and start it again; also if it is quarantined.

    \b
    loom process restart words
    """
    say_state(_control(find_instance(folder, state), name, "restart"), as_json=as_json)


def _control(paths: Paths, name: str, action: str, **more: str) -> dict[str, Any]:
    asked = {"name": name, "action": action, **more}
    answer: dict[str, Any] = answer_of(paths, "process.control", asked, timeout=PATIENCE)
    if "error" in answer:
        raise CommandFailed(answer["error"])
    return answer


def _show(name: str, seen: dict[str, Any]) -> None:
    found = seen["found"]
    lines = [f"{name} runs: {' '.join(map(repr, seen['argv']))}"]
    if found["cwd"]:
        lines.append(f"  in {found['cwd']}, all of which it may read")
    lines += [f"  {file}  sha256 {digest}" for file, digest in found["files"].items()]
    lines += [f"  with the variable {variable}" for variable in found["env"]]
    rights = ("read", "write", "permissions", "subscribe", "publish")
    lines += [f"  {right}: {', '.join(found[right]) or 'nothing'}" for right in rights]
    lines.append(f"  network: {'all of it' if found['network'] else 'none'}")
    lines.append("new or different:" if seen["changes"] else "nothing of it has changed")
    lines += [f"  {change}" for change in seen["changes"]]
    for line in lines:
        say(printable(line))
