"""A confined program can be asked to end, and ends with all that it started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from loom.contracts import Command, Confinement, Sandbox
from loom.processes import Process
from loom_kernel.testing import wait_until

from plugins.sandbox.tests.conftest import Spawn

ASKED = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), sys.exit(7)))
print("ready", flush=True)
signal.pause()
"""
MANY = """
import os, signal, sys
for leaves in (False, True, True):
    if os.fork() == 0:
        try:
            leaves and os.setsid()
        except PermissionError:
            pass
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pause()
print("ready", flush=True)
signal.pause()
"""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("SEC-03", "TOOL-04"),
    pytest.mark.reliability("R15"),
]


async def started(sandbox: Sandbox, spawn: Spawn, code: str, mark: str) -> Process:
    async def hear(stream: asyncio.StreamReader) -> None:
        await stream.read()

    command = Command(("/usr/bin/python3", "-I", "-S", "-c", code, mark))
    confined = sandbox.confine(command, Confinement())
    process = await Process.start(confined, spawn, errors=hear)
    assert await process.stdout.readline() == b"ready\n"
    return process


def left(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [str(path)] if mark.encode() in path.read_bytes().split(b"\0") else []
        except OSError:
            continue
    return found


async def test_it_is_asked_first(sandbox: Sandbox, spawn: Spawn) -> None:
    process = await started(sandbox, spawn, ASKED, "asked")
    await process.end(0.2)
    assert process.code == 7


@pytest.mark.parametrize("way", ["kill", "end", "close"])
async def test_all_that_it_started_ends_with_it(sandbox: Sandbox, spawn: Spawn, way: str) -> None:
    mark = f"mark-{sandbox.mechanism}-{way}"
    process = await started(sandbox, spawn, MANY, mark)
    assert len(left(mark)) >= 4
    match way:
        case "kill":
            process.kill()
        case "end":
            await process.end(0.1)
        case "close":
            process.close()
    await process.aclose()
    await wait_until(lambda: not left(mark))
