"""The other end of the control socket: one request, and the lines that answer it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import click
from loom_kernel import Paths, RealClock

from loom_plugin_control.address import connect, peer_uid
from loom_plugin_control.instance import lock_holder

FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 4, 130


class CommandFailed(click.ClickException):
    """Ends the command with *code* and one line that says why."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = code

    def show(self, file: Any = None) -> None:
        """Print the line as the kernel prints its own."""
        click.echo(f"loom: {self.message}", file=file, err=file is None)


class Unanswered(CommandFailed):
    """The instance runs, but did not answer in time."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"the Loom that runs on {state} does not answer")


def not_running(state: Path) -> CommandFailed:
    """What to say when nobody listens on *state*."""
    if pid := lock_holder(state):
        return CommandFailed(
            f"Loom (process {pid}) runs on {state}, but does not listen: "
            "it is starting or stopping, or runs without the plugin 'control'"
        )
    return CommandFailed(f"no Loom runs on {state}; start it with `loom up`", NOT_RUNNING)


def ask(paths: Paths, op: str, *, timeout: float = 10.0, **fields: Any) -> Any:
    """The one answer to a request; see `stream`."""
    for line in stream(paths, op, timeout=timeout, **fields):
        return line.get("result", line)
    raise CommandFailed("Loom ended before it answered")


def stream(
    paths: Paths, op: str, *, timeout: float | None = 10.0, **fields: Any
) -> Iterator[dict[str, Any]]:
    """Send a request and yield the lines that come back within *timeout* seconds.

    Raises:
        CommandFailed: nobody listens (exit code 4), or the request was refused (1 or 2).
        Unanswered: the last line did not come in time.
    """
    try:
        connection = connect(paths.socket, 5.0)
    except TimeoutError:
        raise Unanswered(paths.state) from None
    except OSError as error:
        raise not_running(paths.state) from error
    with connection, connection.makefile("rb") as lines:
        if peer_uid(connection) not in (os.getuid(), -1):
            raise CommandFailed(f"{paths.socket} belongs to another user's Loom")
        request = json.dumps({"op": op, **fields}).encode() + b"\n"
        with suppress(BrokenPipeError):  # it may have refused before it read all: hear why
            connection.sendall(request)
        try:
            yield from _received(lines, _limit(connection, timeout))
        except TimeoutError:
            raise Unanswered(paths.state) from None


def _limit(connection: socket.socket, timeout: float | None) -> Callable[[], None]:
    """What has to be called before each reading, so that all of them together end in time."""
    clock = RealClock()
    deadline = None if timeout is None else clock.monotonic() + timeout

    def limit() -> None:
        connection.settimeout(deadline and max(deadline - clock.monotonic(), 0.001))

    return limit


def _received(lines: BinaryIO, limit: Callable[[], None]) -> Iterator[dict[str, Any]]:
    while True:
        limit()
        try:
            line = lines.readline()
        except ConnectionResetError:
            return  # what came before is all there is
        if not line.endswith(b"\n"):
            return
        answer: dict[str, Any] = json.loads(line)
        if error := answer.get("error"):
            code = USAGE if error["code"] == "INVALID_PARAMS" else FAILED
            raise CommandFailed(error["message"], code)
        yield answer
