"""Ten thousand that wait: `python -m tests.bench.idle agents|tasks COUNT SECONDS` prints JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter, process_time

from loom.contracts import AgentDefinition, Agents
from loom_kernel import Envelope, Host
from loom_kernel.testing import running

MAILBOX = 1000
WAKES = 500

Wake = Callable[[int], Awaitable[object]]


def memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / (1 << 20)


class Alarm:
    """Measures the time from a call to the handler that it wakes."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()
        self._began = 0.0
        self.taken: list[float] = []

    def ring(self) -> None:
        self.taken.append(perf_counter() - self._began)
        self.rung.set()

    async def time(self, wake: Wake, number: int) -> None:
        self.rung.clear()
        self._began = perf_counter()
        await wake(number)
        await self.rung.wait()


@asynccontextmanager
async def idle_tasks(count: int, alarm: Alarm) -> AsyncIterator[Wake]:
    """The least there can be: a task and a queue each."""
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(MAILBOX) for _ in range(count)]

    async def work(queue: asyncio.Queue[int]) -> None:
        while True:
            await queue.get()
            alarm.ring()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(queue)) for queue in queues]
        await asyncio.sleep(0)
        yield lambda number: queues[number].put(number)
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def idle_agents(count: int, alarm: Alarm) -> AsyncIterator[Wake]:
    """Agents of the agents plugin, each with a topic of its own."""

    async def on_event(host: Host, envelope: Envelope) -> None:
        alarm.ring()

    async with running("agents") as runtime:
        host = runtime.host("bench")
        agents = host.require(Agents)
        for number in range(count):
            await agents.create(
                AgentDefinition(
                    id=f"idle{number}",
                    on_event=on_event,
                    topics=(f"work.{number}",),
                    mailbox=MAILBOX,
                )
            )
        await asyncio.sleep(0)
        yield lambda number: host.publish(f"work.{number}", {"number": number})


async def main(kind: str, count: int, seconds: float) -> None:
    alarm = Alarm()
    before = memory_mb()
    began = perf_counter()
    async with {"agents": idle_agents, "tasks": idle_tasks}[kind](count, alarm) as wake:
        created = perf_counter() - began
        taken = memory_mb() - before
        busy, began = process_time(), perf_counter()
        await asyncio.sleep(seconds)
        idle = (process_time() - busy) / (perf_counter() - began) * 100
        for number in range(0, count, max(count // WAKES, 1)):
            await alarm.time(wake, number)
        ordered = sorted(alarm.taken)
        figures = {
            "memory_mb": taken,
            "idle_percent": idle,
            "wake_us": ordered[len(ordered) // 2] * 1e6,
            "create_ms": created * 1e3,
        }
        print(json.dumps(figures), flush=True)
        os._exit(0)  # the figures are there; ending ten thousand tasks shows nothing more


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
