"""A process that marks in the file `marks`, beside the journal, what the journal promised it.

`python trader.py STATE ROUNDS HOW`: one publisher of ticks (background) all the time; beside it,
for ROUNDS, eight of orders (batched) and one that intends to change the world. With HOW `careless`
nothing is flushed that should be. A mark is a line: what, number, time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from loom.contracts import Effect, Effects
from loom_kernel import Envelope, Runtime
from loom_kernel.testing import running
from loom_plugin_journal import Batch, Receipt, SqliteStore

STATE, ROUNDS = Path(sys.argv[1]), int(sys.argv[2])
# So that the write-ahead log is written back now and then, in so short a life.
SqliteStore.__init__.__kwdefaults__ = {"ballast": 1 << 20, "checkpoint": 1 << 20}
commit = SqliteStore.commit
ALONE = 1.5
"""Seconds in which there is nothing but ticks."""


def careless(store: SqliteStore, batch: Batch) -> list[Receipt]:
    """What a store does that thinks the end of a process is the worst that can happen."""
    batch.is_flushed = False
    return commit(store, batch)


if sys.argv[3] == "careless":
    SqliteStore.commit = careless  # type: ignore[assignment,method-assign]  # for the control run


class Marks:
    """Promises, in the order in which they were made."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)

    def add(self, what: str, number: int) -> None:
        os.write(self._file, f"{what} {number} {time.time()}\n".encode())


async def publish(runtime: Runtime, marks: Marks, number: int) -> None:
    host = runtime.host(f"customer{number}")
    for turn in range(ROUNDS):
        order = turn * 8 + number
        await host.publish("order.placed", {"number": order, "text": "x" * (order % 900)})
        marks.add("order", order)


async def tick(runtime: Runtime, marks: Marks) -> None:
    host = runtime.host("clock")
    for number in range(100_000):
        await host.publish("tick", {"number": number})
        marks.add("tick", number)
        await asyncio.sleep(0.002)


async def intend(runtime: Runtime, marks: Marks) -> None:
    effects = runtime.host("hand").require(Effects)
    for number in range(100_000):
        effect = Effect("hand", str(number), "mail:send", "digest", is_repeatable=False)
        await effects.begin(effect)
        marks.add("intent", number)
        if number % 2:
            await effects.end(effect, b"done")
        await asyncio.sleep(0.01)


async def done(event: Envelope) -> None:
    await asyncio.sleep(0)


async def main() -> None:
    async with running("journal", state=STATE) as runtime:
        marks = Marks(STATE / "plugins" / "journal" / "marks")
        host = runtime.host("office")
        host.on("order.*", handler=done, durable="clerk")
        host.on("tick", handler=done, durable="counter", qos="background")
        beside = [host.spawn(work(runtime, marks), "work") for work in (tick, intend)]
        await asyncio.gather(*(publish(runtime, marks, number) for number in range(8)))
        beside[1].cancel()
        await asyncio.sleep(ALONE)
        os._exit(0)


asyncio.run(main())
