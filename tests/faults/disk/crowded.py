"""Lives on a disk that gets full, and has room again: `python crowded.py STATE HOW`, virtual time.

HOW is `disk` (STATE is on a small file system: it is filled) or `limit` (no file may grow, as by a
quota). Prints one JSON object: what was observed.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from loom_kernel import Envelope, Runtime
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until
from loom_plugin_journal import SEGMENT, JournalUnavailable

STATE, HOW = Path(sys.argv[1]), sys.argv[2]
JOURNAL = STATE / "plugins" / "journal"
MANY = SEGMENT + 200
"""Small events at first, so that there is a segment that can go."""
HOUR = 3600.0


class Crowd:
    """Publishers, a consumer that waits, and what they saw."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self.given: list[int] = []
        self.seen = 0
        self.may_go_on = asyncio.Event()
        office = runtime.host("office")
        office.on("order", handler=self.handle, durable="clerk")
        office.on("order", handler=self.watch, qos="realtime", capacity=100_000)

    async def handle(self, envelope: Envelope) -> None:
        if envelope.data["number"] >= MANY:
            await self.may_go_on.wait()
        self.given.append(envelope.data["number"])

    async def watch(self, envelope: Envelope) -> None:
        self.seen += 1

    async def publish(self, number: int, size: int = 4000) -> bool:
        data = {"number": number, "text": "x" * size}
        try:
            await self.runtime.host("shop").publish("order", data)
        except JournalUnavailable:
            self.refused.append(number)
            return False
        self.accepted.append(number)
        return True

    @property
    def health(self) -> Any:
        return self.runtime.health()["journal"]


def fill() -> None:
    """Leave no room."""
    if HOW == "limit":
        size = max(file.stat().st_size for file in JOURNAL.iterdir() if "db" in file.name)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return
    with (STATE / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:
                continue


def free() -> None:
    """Give the room back."""
    if HOW == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        (STATE / "filler").unlink()


def ballast() -> int:
    path = JOURNAL / "ballast"
    return path.stat().st_size if path.exists() else 0


async def live(crowd: Crowd) -> dict[str, Any]:
    runtime = crowd.runtime
    found: dict[str, Any] = {"ballast": [ballast()]}
    for start in range(0, MANY, 400):
        count = min(400, MANY - start)
        await asyncio.gather(*(crowd.publish(start + n, 10) for n in range(count)))
    await wait_until(lambda: len(crowd.given) == MANY, timeout=60)
    fill()
    number = MANY
    while await crowd.publish(number):
        number += 1
        assert number < MANY + 40_000, "it is never full"
    found["degraded"] = not crowd.health.healthy
    crowd.may_go_on.set()  # what ends work is written although the disk is full
    owner = runtime.host("cli")
    await wait_until(lambda: len(crowd.given) == len(crowd.accepted), timeout=60)
    await asyncio.sleep(5)
    found["behind"] = (await owner.request("journal.status")).data["consumers"][0]["behind"]
    found["in_hand"] = (await owner.request("journal.status")).data["consumers"][0]["in_hand"]
    await asyncio.sleep(HOUR)
    found["records"] = crowd.health.metrics["records"]
    found["ballast"].append(ballast())
    found["still_refused"] = not await crowd.publish(number + 1)
    free()
    await wait_until(lambda: crowd.health.healthy, timeout=5)
    found["accepted_again"] = await crowd.publish(number + 2)
    await asyncio.sleep(5)
    found["ballast"].append(ballast())
    await wait_until(lambda: len(crowd.given) == len(crowd.accepted), timeout=60)
    names = ("accepted", "refused", "given", "seen")
    return found | {name: getattr(crowd, name) for name in names}


async def main() -> None:
    config = {"plugins": {"journal": {"keep": 0}}}
    async with running("journal", state=STATE, clock=VirtualClock(), config=config) as runtime:
        found = await live(Crowd(runtime))
    async with running("journal", state=STATE, clock=VirtualClock(), config=config) as runtime:
        verified = await runtime.host("cli").request("journal.verify", timeout=60)
        print(json.dumps(found | {"verified": verified.data}))


run_virtual(main)
