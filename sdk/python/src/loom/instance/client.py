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

from loom.instance.address import connect, peer_uid
from loom.instance.terminal import printable
from loom.instance.which import lock_holder


class CommandFailed(click.ClickException):
    """Ends the command with one line that says why."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print the line as the kernel prints its own."""
        click.echo(f"loom: {printable(self.message)}", file=file, err=file is None)


class Refused(CommandFailed):
    """The request was wrong."""

    exit_code = 2


class NotRunning(CommandFailed):
    """No Loom runs there."""

    exit_code = 4

    def __init__(self, state: Path) -> None:
        super().__init__(f"no Loom runs on {state}; start it there with `loom up`")


class Unanswered(CommandFailed):
    """The instance runs, but did not answer in time."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"the Loom that runs on {state} does not answer")


def unreachable(state: Path) -> CommandFailed:
    """What to say when nobody listens on *state*."""
    if pid := lock_holder(state):
        return CommandFailed(
            f"Loom (process {pid}) runs on {state}, but does not listen: "
            "it is starting or stopping, or runs without the plugin 'control'"
        )
    return NotRunning(state)


def ask(paths: Paths, op: str, *, within: float = 10.0, **fields: Any) -> Any:
    """The one answer to a request; see `stream`."""
    for line in stream(paths, op, within=within, **fields):
        return line.get("result", line)
    raise CommandFailed("Loom ended before it answered")


def stream(
    paths: Paths, op: str, *, within: float | None = 10.0, **fields: Any
) -> Iterator[dict[str, Any]]:
    """Send a request and yield the lines that come back, all *within* so many seconds.

    Raises:
        CommandFailed: nobody listens (exit code 4), or the request was refused (1 or 2).
        Unanswered: the last line did not come in time.
    """
    try:
        connection = connect(paths.socket, 5.0)
    except TimeoutError:
        raise Unanswered(paths.state) from None
    except OSError as error:
        raise unreachable(paths.state) from error
    with connection, connection.makefile("rb") as lines:
        if peer_uid(connection) not in (os.getuid(), -1):
            raise CommandFailed(f"{paths.socket} belongs to another user's Loom")
        request = json.dumps({"op": op, **fields}).encode() + b"\n"
        with suppress(BrokenPipeError):  # it may have refused before it read all: hear why
            connection.sendall(request)
        try:
            yield from _received(lines, _limit(connection, within))
        except TimeoutError:
            raise Unanswered(paths.state) from None


def _limit(connection: socket.socket, within: float | None) -> Callable[[], None]:
    """What has to be called before each reading, so that all of them together end in time."""
    clock = RealClock()
    deadline = None if within is None else clock.monotonic() + within

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
            wrong = error["code"] == "INVALID_PARAMS"
            raise (Refused if wrong else CommandFailed)(error["message"])
        yield answer


def answer_of(paths: Paths, topic: str, data: Any = None, *, timeout: float = 5.0) -> Any:
    """What the plugin that listens to *topic* answers; *timeout* in seconds.

    Raises:
        CommandFailed: see `stream`; also if nobody listens to the topic.
    """
    line = ask(paths, "request", within=timeout + 5.0, timeout=timeout, topic=topic, data=data)
    return line["event"]["data"]


def effect_of(
    paths: Paths, topic: str, data: Any = None, *, timeout: float = 5.0
) -> dict[str, Any]:
    """What the plugin that listens to *topic* did; it answers with a `code` and a `message`.

    Raises:
        CommandFailed: see `answer_of`; also if the code is another than ACTION_OK.
    """
    answer: dict[str, Any] = answer_of(paths, topic, data, timeout=timeout)
    if answer["code"] != "ACTION_OK":
        raise CommandFailed(answer["message"])
    return answer
