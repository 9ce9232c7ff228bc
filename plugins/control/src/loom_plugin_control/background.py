"""The background process: what `loom up` starts, and what it hears from it.

The process is started in a session of its own and tells, through a pipe that it inherits, one
JSON line: that it is ready, or why it is not and the exit code that stands for that.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom_kernel import (
    AlreadyRunning,
    ConfigError,
    LoomError,
    Paths,
    RealClock,
    describe_ready,
    run_kernel,
)

from loom_plugin_control.logfile import NAME, LogFile, open_log

if TYPE_CHECKING:
    from loom_kernel import Runtime

PIPE = "LOOM_READY_FD"
FAILED, USAGE, RUNNING = 1, 2, 3


# -- in the command ------------------------------------------------------------------------------


def start(paths: Paths, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Start a Loom on *paths* and return what it says when it is ready, or the `error`.

    One that says nothing for *timeout* seconds is ended.
    """
    reading, writing = os.pipe()
    log = open_log(paths.state / NAME)
    asked = {
        **options,
        "with_": [*options["with_"], "control"],
        "project": paths.project and str(paths.project),
        "state": str(paths.state),
    }
    try:
        child = subprocess.Popen(
            # -P: a folder that happens to be the current one brings no modules.
            [sys.executable, "-P", "-m", __name__, json.dumps(asked)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=paths.project or "/",
            env={**os.environ, PIPE: str(writing)},
            pass_fds=[writing],
            start_new_session=True,
        )
    finally:
        os.close(writing)
        os.close(log)
    try:
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            told = _read_line(pipe.fileno(), timeout)
    except BaseException:
        _end(child)
        raise
    return _judge(child, told, timeout)


def _judge(child: subprocess.Popen[bytes], told: bytes | None, timeout: float) -> dict[str, Any]:
    if told is None:
        _end(child)
        return _error(FAILED, f"it was not ready after {timeout:g} s and was ended")
    if not told:
        return _error(FAILED, f"it ended while it started (exit code {_end(child, 3.0)})")
    found: dict[str, Any] = json.loads(told)
    if "error" in found:
        _end(child, 3.0)
    return found


def _read_line(descriptor: int, timeout: float) -> bytes | None:
    """One line; empty if the other end was closed without, None if it did not come in time."""
    clock = RealClock()
    deadline = clock.monotonic() + timeout
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - clock.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            return None
        more = os.read(descriptor, 65_536)
        if not more:
            return b""
        line += more
    return line


def _end(child: subprocess.Popen[bytes], grace: float = 0.0) -> int:
    """The exit code of *child*, which has *grace* seconds to end by itself."""
    for seconds, insist in ((grace, child.terminate), (3.0, child.kill)):
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            insist()
    return child.wait()


# -- in the background ---------------------------------------------------------------------------


class ReadyPipe:
    """The way to whoever started us; it takes one line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send *message*, unless something was sent before or nobody listens any more."""
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            logging.getLogger("loom.control").warning("nobody waits for this Loom to be ready")
        finally:
            os.close(self._descriptor)
            self._descriptor = -1


def run(options: dict[str, Any], pipe: ReadyPipe) -> int:
    """Run a Loom as *options* say; the exit code."""
    refused: list[int] = []

    def on_ready(runtime: Runtime) -> bool:
        message = _readiness(runtime)
        logging.getLogger("loom.control").info("%s", describe_ready(runtime))
        pipe.tell(message)
        if "error" in message:
            refused.append(message["error"]["code"])
        return not refused

    project, state = options.pop("project"), Path(options.pop("state"))
    try:
        code = run_kernel(
            Path(project) if project else None, on_ready, state=state, log="json", **options
        )
    except (LoomError, OSError) as error:
        code = _code_of(error)
        pipe.tell(_error(code, str(error)))
    except BaseException as error:
        pipe.tell(_error(FAILED, f"{type(error).__name__}: {error}"))
        raise
    return refused[0] if refused else code


def _readiness(runtime: Runtime) -> dict[str, Any]:
    status = runtime.status()
    if "control" not in runtime.attached:
        lost = runtime.quarantined.get("control")
        reason = f"{lost.stage}: {lost.reason}" if lost else "it was left out"
        return _error(FAILED, f"without the plugin 'control' nobody could stop it ({reason})")
    return {
        "pid": status["pid"],
        "profile": status["profile"],
        "state": status["paths"]["state"],
        "plugins": runtime.attached,
        "quarantined": list(status["quarantined"].values()),
    }


def _code_of(error: Exception) -> int:
    if isinstance(error, AlreadyRunning):
        return RUNNING
    return USAGE if isinstance(error, ConfigError) else FAILED


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def main() -> int:
    """Run in the background; arguments and environment come from `start`."""
    options = json.loads(sys.argv[1])
    pipe = ReadyPipe(int(os.environ.pop(PIPE)))
    LogFile(Path(options["state"], NAME)).become_standard()
    return run(options, pipe)


if __name__ == "__main__":
    sys.exit(main())
