"""Handles events, some of which are its end: `python victim.py STATE KIND…`.

In its first life it publishes two events of each kind: the first of a kind does what its name
says, the second is harmless. A neighbour consumes the same. What was handled is kept in a file;
when nothing is left that is printed.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import sys
from pathlib import Path

from loom.contracts import Reject
from loom_kernel import Envelope
from loom_kernel.testing import running, wait_until

STATE, KINDS = Path(sys.argv[1]), sys.argv[2:]
HANDLED = STATE / "handled.txt"
ROOM = 1 << 30
"""Bytes of memory that it may have."""
CONFIG = {
    "plugins": {"journal": {"deliveries": 2, "crashes": 2, "ack_wait": 0.2}},
    "kernel": {"drain_timeout": 0.2},
}


def note(who: str, envelope: Envelope) -> None:
    with HANDLED.open("a", encoding="utf-8") as file:
        file.write(json.dumps([who, envelope.topic, envelope.data]) + "\n")


async def suffer(envelope: Envelope) -> None:
    match envelope.topic.partition(".")[2] if envelope.data == 0 else "fine":
        case "raise":
            raise ValueError("always")
        case "hang":
            await asyncio.Event().wait()
        case "exit":
            os._exit(9)
        case "segfault":
            ctypes.string_at(0)
        case "memory":
            eat()
        case "reject":
            raise Reject("not for me")
    note("victim", envelope)


def eat() -> None:
    """What the kernel's killer does to a process that eats more than there is, by a limit."""
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    eaten = []
    try:
        while True:
            eaten.append(bytearray(16 << 20))
    except MemoryError:
        os.abort()


async def look(envelope: Envelope) -> None:
    note("neighbour", envelope)


def handled(who: str) -> list[list[object]]:
    lines = HANDLED.read_text().splitlines() if HANDLED.exists() else []
    return [known[1:] for known in map(json.loads, lines) if known[0] == who]


async def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    is_first = not HANDLED.exists()
    async with running("journal", state=STATE, config=CONFIG) as runtime:
        if is_first:
            for name in ("victim", "neighbour"):
                runtime.host(name).subscribe("event.*", durable=name).close()
            for number in (0, 1):
                for kind in KINDS:
                    await runtime.host("shop").publish(f"event.{kind}", number, thread_id=kind)
            HANDLED.touch()
        neighbour = runtime.host("neighbour")
        neighbour.on("event.*", handler=look, durable="neighbour")
        await wait_until(lambda: len(handled("neighbour")) >= 2 * len(KINDS), timeout=20)
        await asyncio.sleep(0.2)  # its progress is on the disk before the trouble begins
        runtime.host("victim").on("event.*", handler=suffer, durable="victim")
        await wait_until(lambda: runtime.health()["journal"].metrics["lag"] == 0, timeout=30)
    print(json.dumps({who: handled(who) for who in ("victim", "neighbour")}))


asyncio.run(main())
