"""`python -m loom.hosting.worker`: a process that runs the agents of one file, and nothing else.

It is started by a runtime and ends with it, whatever ends that: the kernel of the operating
system kills it (Linux), and the end of its standard input tells it (everywhere). SIGTERM lets it
finish what it handles, exit code 0; Ctrl-C in a terminal is the runtime's business.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import msgspec
from loom_kernel import LoomError

from loom.agent import Agent
from loom.hosting.files import load_agents
from loom.hosting.orders import Order, Report

log = logging.getLogger("loom.worker")

LONGEST_ORDER = 1 << 20
LONGEST_SUMMARY = 500
PR_SET_PDEATHSIG = 1
GUARD = "trap '' HUP INT TERM; read -r _; kill -KILL 0"
"""Waits for the end of its input and then kills its process group."""
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""sd-daemon's numbers: a line may begin with `<3>`, and whoever reads the output knows the rest."""

_guards: list[subprocess.Popen[bytes]] = []


def main() -> int:
    """Do what the order on standard input says; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = _first_line(0)
    if not line:
        return 1
    order = msgspec.json.decode(line, type=Order)
    reports = _take_output()
    _end_with(order.parent)
    _configure_output()
    try:
        agents = [agent for agent in load_agents(Path(order.file)) if _is_enabled(agent, order)]
        _report(reports, Report(agents=tuple(agent.agent_id for agent in agents)))
        asyncio.run(_serve(agents, order, reports))
    except (Exception, SystemExit) as error:  # it is the app's code that runs
        cause = _first_of(error)
        cause.__traceback__ = _since(cause.__traceback__, order.file)
        _report(reports, Report(error=_summary(cause)))
        log.error("%s cannot go on", Path(order.file).name, exc_info=cause)
        return 1
    return 0


# -- the runtime is the parent ----------------------------------------------------------------


def _first_line(descriptor: int) -> bytes:
    """The line that *descriptor* begins with; nothing if it ends before."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(descriptor, 1 << 16)
        line += part
        if not part or len(line) > LONGEST_ORDER:
            return b""
    return line


def _end_with(parent: int) -> None:
    """Let this process, and those it starts, not outlive *parent*."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could take us along
        _end_group()
    _set_guard()
    empty = os.open(os.devnull, os.O_RDONLY)  # what the agents start must not hold the pipe open
    os.dup2(empty, 0)
    os.close(empty)


def _set_guard() -> None:
    """Let something wait for the end of standard input that no agent can keep from it.

    The kernel of the operating system kills this process alone, not what it started; and a
    thread cannot act while somebody else's code holds the interpreter. A shell can.
    """
    watched = os.dup(0)
    command = ("/bin/sh", "-c", GUARD)
    quiet = subprocess.DEVNULL
    try:
        if _has_group():
            _guards.append(subprocess.Popen(command, stdin=watched, stdout=quiet, stderr=quiet))
            os.close(watched)
            return
    except OSError as error:
        log.debug("no guard can be set: %s", error)
    threading.Thread(target=_watch, args=(watched,), name="parent", daemon=True).start()


def _watch(descriptor: int) -> None:
    """End at the end of *descriptor*."""
    while os.read(descriptor, 1 << 16):
        continue
    _end_group()


def _end_group() -> NoReturn:
    if _has_group():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _has_group() -> bool:
    """Whether nobody is in this process's group but what it started."""
    return os.getpgrp() == os.getpid()


# -- output -----------------------------------------------------------------------------------


def _take_output() -> int:
    """The descriptor for reports: standard output as it was; what is printed goes to stderr.

    Nothing that agents start inherits it.
    """
    reports = os.dup(1)
    os.dup2(2, 1)
    return reports


def _report(reports: int, report: Report) -> None:
    os.write(reports, msgspec.json.encode(report) + b"\n")


class _Marked(logging.Formatter):
    """Begins each line with its priority."""

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{PRIORITIES.get(record.levelname, 6)}>"
        return mark + super().format(record).replace("\n", f"\n{mark}")


def _configure_output() -> None:
    """Lines leave when they are complete, and logging goes to stderr with its priority."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # no TextIO without
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Marked("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _since(trace: TracebackType | None, file: str) -> TracebackType | None:
    """*trace* from where it enters *file*, if it does: what is ours says nothing to its author."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename != file:
        found = found.tb_next
    return found or trace


def _summary(error: BaseException) -> str:
    """*error* in one line."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}".partition("\n")[0][:LONGEST_SUMMARY]


def _first_of(error: BaseException) -> BaseException:
    """The failure that a group of them began with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


# -- agents ----------------------------------------------------------------------------------


def _table(agent: Agent, order: Order) -> Mapping[str, Any]:
    found = order.tables.get(agent.agent_id, {})
    return found if isinstance(found, dict) else {}


def _is_enabled(agent: Agent, order: Order) -> bool:
    return bool(_table(agent, order).get("enabled", True))


async def _serve(agents: list[Agent], order: Order, reports: int) -> None:
    """Run *agents* until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    connected = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(_run(agent, order, connected, stopped), name=agent.agent_id)
        for _ in agents:
            await connected.acquire()
        _report(reports, Report(is_ready=True))


async def _run(
    agent: Agent, order: Order, connected: asyncio.Semaphore, stopped: asyncio.Event
) -> None:
    """Run *agent* until *stopped*.

    Raises:
        LoomError: the runtime ended the session, or did not let the agent in.
    """
    from loom.hosting.remote import joined  # what cannot be imported needs no bridge

    definition = agent.definition(_table(agent, order))
    async with joined(
        definition, order.address, order.token, patience=order.patience, returns=True
    ) as host:
        connected.release()
        over = host.world.stop_requested or asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(event.wait()) for event in (stopped, over)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        if not stopped.is_set():
            raise LoomError(f"the session of agent {agent.agent_id!r} is over")


if __name__ == "__main__":
    sys.exit(main())
