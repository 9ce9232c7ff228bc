"""`logs`: what the background Loom wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from loom.instance import CommandFailed, find_instance, folder_argument, say

from loom_plugin_control.logfile import NAME, last_lines, read_log
from loom_plugin_control.rendering import LEVELS, is_at_least, record_line

LOOK = 0.2
"""Seconds between two looks at a log that is followed."""


@click.command()
@folder_argument
@click.option(
    "--follow", "-f", "is_followed", is_flag=True, help="Go on with what is written later."
)
@click.option(
    "--lines", "-n", "count", default=50, show_default=True, type=click.IntRange(0), metavar="N",
    help="How many of the last lines.",
)  # fmt: skip
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only these and worse.")
@click.option("--grep", "text", default="", metavar="TEXT", help="Only lines that hold TEXT.")
@click.option("--json", "as_json", is_flag=True, help="The lines as they were written.")
def logs(
    folder: str | None,
    state: Path | None,
    is_followed: bool,
    count: int,
    level: str,
    text: str,
    as_json: bool,
) -> None:
    """Show the log of the Loom that runs, or ran, in the background.

    \b
    loom logs --lines 20
    loom logs --follow --level warning
    loom logs --grep files --json
    """
    log = find_instance(folder, state).state / NAME
    if not log.is_file():
        raise CommandFailed(f"there is no {log}: no Loom was started there with `loom up`")
    wanted = _filter(level, text)
    show = _raw if as_json else _rendered
    lines = (line for line in read_log(log) if line is None or wanted(line))
    for line in last_lines(lines, count):
        show(line)
    if is_followed:
        _follow(lines, show)


def _follow(lines: Iterator[str | None], show: Callable[[str], None]) -> None:
    never = threading.Event()
    for line in lines:
        if line is None:
            never.wait(LOOK)
        else:
            show(line)


def _filter(level: str, text: str) -> Callable[[str], bool]:
    sought = text.casefold()
    return lambda line: sought in line.casefold() and is_at_least(line, level)


def _raw(line: str) -> None:
    click.echo(line.rstrip("\n"))


def _rendered(line: str) -> None:
    say(record_line(line))
