"""`approve`: the questions that wait, and answering them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    find_instance,
    instance_options,
    parse_duration,
    printable,
    say,
)
from loom_kernel import Paths

from loom_plugin_tools.commands.answers import order

RUNNING = 3600.0
"""Seconds that an approved call has, if nobody else waits for it."""


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--deny", is_flag=True, help="Say no.")
@click.option(
    "--remember", default="", metavar="TIME",
    help="Do not ask this caller about this tool again for so long: 1h, 30d.",
)  # fmt: skip
@click.option("--note", default="", help="What to tell the caller.")
@click.option("--list", "only_list", is_flag=True, help="Show what waits, and answer nothing.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@instance_options
def approve(
    ids: tuple[str, ...],
    deny: bool,
    remember: str,
    note: str,
    only_list: bool,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Answer the questions that wait for you: all of them in turn, or those with these IDs.

    What you approve is, byte for byte, what runs: once, within its time, and only if neither the
    tool nor the files it depends on have changed. A question survives restarts; a call that
    nobody waits for any more runs here, and its result is printed.

    \b
    loom approve
    loom approve 3f2a91c4
    loom approve 3f2a91c4 --deny --note 'not on a Friday'
    loom approve 3f2a91c4 --remember 1h
    """
    paths = find_instance(folder, state)
    waiting = order(paths, "approval.list")["approvals"]
    chosen = [one for one in waiting if not ids or one["capsule"]["id"] in ids]
    missing = set(ids) - {one["capsule"]["id"] for one in chosen}
    if missing:
        raise CommandFailed(f"no question {', '.join(sorted(missing))} waits; see `loom approve`")
    if only_list or (not ids and not sys.stdin.isatty()):
        _show(chosen, as_json=as_json)
        return
    seconds = parse_duration(remember) if remember else 0.0
    for approval in chosen:
        allow = not deny if ids else _asked(approval)
        if allow is not None:
            result = decide(paths, approval, allow=allow, note=note, remember=seconds)
            _tell(approval, result, allow=allow, as_json=as_json)
    if not chosen:
        say("no questions wait")


def decide(
    paths: Paths, approval: dict[str, Any], *, allow: bool, note: str = "", remember: float = 0.0
) -> Any:
    """Decide about *approval* as it was shown; what came of it, if nobody else waits for that."""
    decision = {
        "id": approval["capsule"]["id"], "digest": approval["digest"], "allow": allow,
        "note": note, "remember": remember,
    }  # fmt: skip
    return order(paths, "approval.decide", decision, timeout=RUNNING)["result"]


def _show(waiting: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(waiting))
    elif not waiting:
        say("no questions wait")
    for approval in [] if as_json else waiting:
        say(f"{approval['capsule']['id']}:\n{_text(approval)}\n")


def _text(approval: dict[str, Any]) -> str:
    return "\n".join(f"  {printable(line)}" for line in approval["text"].splitlines())


def _asked(approval: dict[str, Any]) -> bool | None:
    """What the person at the terminal says; None = later."""
    say(_text(approval))
    answer = click.prompt("yes, no or later", type=click.Choice(["yes", "no", "later"]))
    return {"yes": True, "no": False}.get(answer)


def _tell(approval: dict[str, Any], result: Any, *, allow: bool, as_json: bool) -> None:
    id = approval["capsule"]["id"]
    if as_json:
        click.echo(json.dumps({"id": id, "allow": allow, "result": result}))
    elif result is None:
        say(f"{id}: {'allowed' if allow else 'denied'}")
    elif result["code"] == "ACTION_OK":
        say(f"{id}: allowed, and it ran: {json.dumps(result['output'], ensure_ascii=False)}")
    else:
        raise CommandFailed(f"{id}: {result['code']}: {result['error']['message']}")
