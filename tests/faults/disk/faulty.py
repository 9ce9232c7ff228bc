"""Lives on a disk that fails once, or for a while: `python faulty.py FOLDER CODE TIMES FIRST STEP`.

Each life is a process of its own, in virtual time, in which the disk fails with the errno CODE at
the k-th write, flush or truncation, and at the TIMES - 1 that follow it; k is FIRST, FIRST + STEP,
… until a life ends without. Prints one JSON line a life: what was accepted, refused, given to the
consumer, and whether it ended well. The shim has to be preloaded.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from loom_kernel import Envelope, LoomError, Runtime
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until
from loom_plugin_journal import JournalUnavailable

FOLDER = Path(sys.argv[1])
CODE, TIMES, FIRST, STEP = map(int, sys.argv[2:])
EVENTS = 12
shim = ctypes.CDLL(None)


class Life:
    """What happened in one life."""

    def __init__(self) -> None:
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self.given: list[int] = []
        self.seen: list[int] = []
        """What a realtime subscriber saw."""
        self.was_degraded = True
        """Whether health said so whenever a publisher was refused."""

    async def publish(self, runtime: Runtime, number: int) -> bool:
        try:
            await runtime.host(f"shop{number % 3}").publish("order", number)
        except JournalUnavailable:
            self.refused.append(number)
            self.was_degraded &= not runtime.health()["journal"].healthy
            return False
        self.accepted.append(number)
        return True

    async def handle(self, envelope: Envelope) -> None:
        self.given.append(envelope.data)

    async def watch(self, envelope: Envelope) -> None:
        self.seen.append(envelope.data)

    async def live(self, runtime: Runtime) -> None:
        office = runtime.host("office")
        office.on("order", handler=self.handle, durable="clerk")
        office.on("order", handler=self.watch, qos="realtime")
        for number in range(0, EVENTS, 3):
            await asyncio.gather(*(self.publish(runtime, number + n) for n in range(3)))
            await asyncio.sleep(0.1)
        number = EVENTS
        while not await self.publish(runtime, number):  # it recovers when the disk does
            number += 1
            await asyncio.sleep(0.5)
            assert number < EVENTS + 60 + 4 * TIMES, "it does not recover"
        await wait_until(lambda: set(self.given) >= set(self.accepted), timeout=60)
        await wait_until(lambda: runtime.health()["journal"].healthy, timeout=60)
        await office.aclose()


async def life(state: Path, k: int) -> dict[str, Any]:
    found = Life()
    below = str(state / "plugins" / "journal").encode()
    shim.loom_disk_arm(below, k, TIMES, CODE)
    problem = ""
    try:
        async with running("journal", state=state, clock=VirtualClock()) as runtime:
            await found.live(runtime)
    except (LoomError, AssertionError, OSError) as error:
        problem = f"{type(error).__name__}: {error}"
    failed = shim.loom_disk_count() >= k
    return {"k": k, "failed": failed, "problem": problem, **vars(found)}


def live_once(k: int) -> NoReturn:
    """One life, in this process, and its end."""
    status = 1
    try:
        found = run_virtual(partial(life, FOLDER / str(k), k))
        print(json.dumps(found), flush=True)
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def main() -> None:
    k = FIRST
    while True:
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.dup2(writing, 1)
            live_once(k)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            line = pipe.read().strip()
        _, status = os.waitpid(child, 0)
        if not line:
            raise SystemExit(f"the life with the failure at {k} ended with status {status}")
        print(line, flush=True)
        if not json.loads(line)["failed"]:
            return
        k += STEP


main()
