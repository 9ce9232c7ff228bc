"""`loom events`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from loom.instance import NotRunning, instance_options, json_option, printable, say

from loom_plugin_journal.commands.asking import (
    Moment,
    ask,
    opened,
    when,
)


@click.command()
@click.option("--topic", default=">", help="A pattern of topics.")
@click.option("--thread", default="", help="One conversation.")
@click.option("--type", "type_", default="", help="Events of this type.")
@click.option("--sender", default="", help="What this one published.")
@click.option("--since", type=Moment(), default=0.0, help="Not before: 10m (ago), or a time.")
@click.option("--until", type=Moment(), default=0.0, help="Before this time.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="After this record.")
@click.option("--last", type=click.IntRange(min=1), default=None, help="Only the newest N.")
@json_option
@instance_options
def events(
    topic: str,
    thread: str,
    type_: str,
    sender: str,
    since: float,
    until: float,
    after: int,
    last: int | None,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Look into the log of events, the oldest first. Works whether or not a Loom runs.

    In the log is what durable consumers (agents) want, and what the setting topics names. With
    --json each line is one event.

    \b
    loom events --last 20
    loom events --since 10m --topic 'file.>'
    loom events --thread 0193… --json
    """
    query = {
        "topic": topic, "thread": thread, "type": type_, "sender": sender, "since": since,
        "until": until, "after": after, "last": last or 0,
    }  # fmt: skip
    found = _query(folder, state, query)
    for event in found:
        if as_json:
            click.echo(json.dumps(event, ensure_ascii=False))
        else:
            say(_line(event))
    if not found and not as_json:
        say("no such events")


def _query(folder: str | None, state: Path | None, query: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = ask(folder, state, "journal.events", **query)["events"]
    except NotRunning:
        import msgspec

        from loom_plugin_journal import queries

        with opened(folder, state) as store:
            found = queries.events(store, msgspec.convert(query, queries.Query))
    return found


def _line(event: dict[str, Any]) -> str:
    data = json.dumps(event.get("data"), ensure_ascii=False)
    shown = data if len(data) <= 120 else f"{data[:120]}…"
    head = f"{event['sequence']}  {when(event['time'])}  {event['topic']}  {event['sender']}"
    return printable(f"{head}  {shown}")
