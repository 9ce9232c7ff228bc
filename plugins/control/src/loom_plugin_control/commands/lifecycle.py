"""`up`, `down`, `status`: one Loom a state folder, from its start to its end."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from loom.instance import (
    CommandFailed,
    InstanceProcess,
    NotRunning,
    ask,
    find_instance,
    folder_argument,
    json_option,
    lock_holder,
    prepare_state,
    printable,
    say,
    unreachable,
)
from loom_kernel import AlreadyRunning, Paths, RealClock, runtime_options

from loom_plugin_control import background
from loom_plugin_control.logfile import NAME, last_lines, read_log
from loom_plugin_control.rendering import record_line, status_text, up_text

INSIST = 3.0
"""Seconds between one way of ending a process and the next, harder one."""


@click.command()
@runtime_options
@click.option(
    "--timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds to wait until it is ready.",
)
@json_option
@click.argument("folder", required=False, type=click.Path(), metavar="[DIR]")
def up(folder: str | None, timeout: float, as_json: bool, **options: Any) -> None:
    """Start Loom in the background, and return when it is ready.

    DIR is an app's folder; without it, the current folder if it holds a loom.toml, else the
    user's own Loom. Exit codes: 0 ready, 1 failed, 2 configuration, 3 already running.

    \b
    loom up
    loom up sdk/apps/desk --timeout 60
    loom up --profile server --set plugins.timers.enabled=false
    """
    paths = find_instance(folder, options.pop("state"))
    prepare_state(paths.state)
    if holder := lock_holder(paths.state):
        raise AlreadyRunning(paths.state, holder)
    try:
        told = background.start(paths, options, timeout)
    except OSError as error:
        raise CommandFailed(f"cannot start: {error}") from error
    if "error" in told:
        _explain(told["error"], paths)
    click.echo(json.dumps(told)) if as_json else say(up_text(told))


# The log of a background Loom is a file of JSON lines, which `loom logs` shows in either form.
up.params = [option for option in up.params if option.name != "log"]


def _explain(error: dict[str, Any], paths: Paths) -> NoReturn:
    """End with the reason; one that the log knows more about is followed by its end."""
    log = paths.state / NAME
    if error["code"] == background.FAILED and (lines := last_lines(read_log(log), 5)):
        say(f"The end of {log}:", err=True)
        for line in lines:
            say(f"  {record_line(line)}", err=True)
    say(f"loom: {printable(error['message'])}", err=True)
    sys.exit(error["code"])


@click.command()
@folder_argument
@click.option(
    "--timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds it has to finish what it does.",
)
@json_option
def down(folder: str | None, state: Path | None, timeout: float, as_json: bool) -> None:
    """Stop Loom: what is being handled is finished, then it ends.

    If it has not ended in time it is told to end at once, and at last killed: only ever the one
    process that holds the state folder. Exit codes: 0 it has ended, 1 it has not, 4 none ran.

    \b
    loom down
    loom down sdk/apps/desk --timeout 5
    """
    paths = find_instance(folder, state)
    clock = RealClock()
    began = clock.monotonic()
    try:
        process = InstanceProcess(paths.state)
    except ProcessLookupError:
        raise unreachable(paths.state) from None
    with process:
        ended = _end(process, paths, timeout)
    took = round(clock.monotonic() - began, 3)
    if as_json:
        click.echo(json.dumps({"pid": process.pid, "ended": ended, "seconds": took}))
    elif ended == "stopped":
        say(f"Loom has stopped (process {process.pid}, {took:.1f} s)")
    else:
        say(f"Loom was {ended} after {took:.1f} s; what it was doing may be unfinished", err=True)


def _end(process: InstanceProcess, paths: Paths, timeout: float) -> str:
    """End *process* ever more firmly; how it went.

    Raises:
        CommandFailed: it cannot be ended.
    """
    try:
        ask(paths, "stop", within=min(timeout, 5.0))
    except (CommandFailed, OSError):
        process.send(signal.SIGTERM)  # it has no control socket, or does not listen to it
    if process.wait(timeout):
        return "stopped"
    process.send(signal.SIGTERM)
    if process.wait(INSIST):
        return "terminated"
    process.send(signal.SIGKILL)
    if process.wait(INSIST):
        return "killed"
    raise CommandFailed(f"process {process.pid} does not end, not even when it is killed")


@click.command()
@folder_argument
@json_option
def status(folder: str | None, state: Path | None, as_json: bool) -> None:
    """Show what runs, how it is, and what is not used and why.

    Exit codes: 0 it runs, 1 it runs but does not answer, 4 it does not run.

    \b
    loom status
    loom status sdk/apps/desk --json
    """
    paths = find_instance(folder, state)
    try:
        found = ask(paths, "status")
    except CommandFailed as failed:
        if as_json:
            stopped = isinstance(failed, NotRunning)
            click.echo(json.dumps({"state": "stopped" if stopped else "unreachable"}))
        raise
    click.echo(json.dumps(found)) if as_json else say(status_text(found))
