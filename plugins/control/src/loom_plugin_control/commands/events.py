"""`topics`, `publish`, `tail`: the events of a running Loom, from outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    Unanswered,
    ask,
    find_instance,
    instance_options,
    json_option,
    say,
    stream,
)
from loom_kernel import Paths

from loom_plugin_control.rendering import event_line, topic_table

PATIENCE = 60.0
"""Seconds that a publisher may have to wait for subscriptions that are full."""


@click.command()
@instance_options
@json_option
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
def topics(
    patterns: tuple[str, ...], folder: str | None, state: Path | None, as_json: bool
) -> None:
    """Show what every topic published, delivered and lost since the start.

    \b
    loom topics
    loom topics 'file.>' --json
    """
    paths = find_instance(folder, state)
    lines = stream(paths, "topics", patterns=patterns)
    found = [line["item"] for line in lines if "item" in line]
    click.echo(json.dumps(found)) if as_json else say(topic_table(found))


@click.command()
@instance_options
@click.option("--type", "kind", default="", help="Type of the event; the topic, if not given.")
@click.option("--subject", default="", help="What the event is about.")
@click.option("--request", "is_request", is_flag=True, help="Wait for the answer and print it.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for the answer.")
@json_option
@click.argument("topic")
@click.argument("data", required=False, metavar="[JSON]")
def publish(
    topic: str,
    data: str | None,
    folder: str | None,
    state: Path | None,
    kind: str,
    subject: str,
    is_request: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Publish one event as `cli`, or ask and print the answer.

    The data is JSON: an argument, `-` for standard input, or `@FILE`.

    \b
    loom publish note.added '{"text": "buy milk"}'
    loom publish note.added @note.json --subject note-1
    date +'"%s"' | loom publish clock.read -
    loom publish tool.list --request --json
    """
    paths = find_instance(folder, state)
    asked = {"topic": topic, "data": read_data(data), "type": kind, "subject": subject}
    if not is_request:
        found = ask(paths, "publish", within=PATIENCE, **asked)
        taken = f"{found['taken']} subscription{'s' * (found['taken'] != 1)} took it"
        click.echo(json.dumps(found) if as_json else taken)
        return
    line = ask(paths, "request", within=timeout + 5.0, timeout=timeout, **asked)
    event = line["event"]
    click.echo(json.dumps(event if as_json else event.get("data"), indent=None if as_json else 2))


def read_data(data: str | None) -> Any:
    """The JSON value that an argument stands for; see `publish`.

    Raises:
        UsageError: it is none, or cannot be read.
    """
    if data is None:
        return None
    try:
        if data == "-":
            data = sys.stdin.read()
        elif data.startswith("@"):
            data = Path(data[1:]).read_text("utf-8")
        return json.loads(data, parse_constant=_refuse_constant)
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read the data: {error}") from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"the data is not JSON ({error}); a text has quotes of its own: '\"text\"'"
        ) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not in JSON")


@click.command()
@instance_options
@click.option("--type", "types", multiple=True, help="Only events of this type.")
@click.option("--sender", "senders", multiple=True, help="Only events of this sender.")
@click.option("--thread", "threads", multiple=True, metavar="ID", help="Only this thread's events.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="S", help="End after S seconds."
)
@json_option
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
def tail(
    folder: str | None,
    state: Path | None,
    count: int | None,
    timeout: float | None,
    as_json: bool,
    **wanted: tuple[str, ...],
) -> None:
    """Watch events as they happen, from now on, until Ctrl-C or until Loom stops.

    Without a pattern: everything but the topics that begin with `$`, which are the runtime's
    own; a pattern that matches those, like `$loom.>` or `>`, shows them. Watching slows nobody
    down: if events come faster than they can be shown, some are left out and counted.

    Exit codes: 0 N events were seen or Loom stopped, 1 there were fewer than N in time or Loom
    broke off, 130 interrupted.

    \b
    loom tail 'file.>'
    loom tail 'agent.*.replies' --sender planner --json
    loom tail note.added --count 1 --timeout 10
    """
    paths = find_instance(folder, state)
    show = _as_line if as_json else _as_text
    seen = _watch(_lines_until(paths, timeout, wanted), count, show)
    if count is not None and seen < count:
        sys.exit(1)


def _lines_until(
    paths: Paths, timeout: float | None, wanted: dict[str, tuple[str, ...]]
) -> Iterator[dict[str, Any]]:
    """The lines of a tail, for *timeout* seconds."""
    try:
        yield from stream(paths, "tail", within=timeout, **wanted)
    except Unanswered:
        if timeout is None:
            raise
        yield {"end": "timeout"}


def _watch(
    lines: Iterator[dict[str, Any]], count: int | None, show: Callable[[dict[str, Any]], None]
) -> int:
    """Show events until there are *count* or no more; how many there were."""
    seen = 0
    for line in lines:
        if "end" in line:
            if line["end"] != "timeout":
                say(f"Loom has {line['end']}", err=True)
            return seen
        if "dropped" in line:
            say(f"{line['dropped']} events were left out: they came too fast", err=True)
        elif "event" in line:
            seen += 1
            show(line)
            if seen == count:
                return seen
    raise CommandFailed("Loom broke off")


def _as_line(line: dict[str, Any]) -> None:
    click.echo(json.dumps(line["event"]))


def _as_text(line: dict[str, Any]) -> None:
    say(event_line(line))
