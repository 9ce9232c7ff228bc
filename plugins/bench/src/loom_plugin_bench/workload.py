"""What every measurement does: the same payload, the same handler, the same publisher.

Needs the standard library only. A publisher sends bursts and lets the loop turn after each; it
goes on only when no more than one burst is under way, so an unbounded queue is measured at work
and not while it piles up.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable
from time import process_time

BURST = 256
TEXT = "The second draft is ready for review."
PACE = 0.001
"""Seconds between two events of the latency measurement."""

Publish = Callable[[str, dict[str, object]], Awaitable[object]]


def make_payload(number: int) -> dict[str, object]:
    """About 200 bytes as JSON, made anew for each event, as one who reports a change would."""
    return {
        "number": number,
        "path": f"/notes/{number}.md",
        "kind": "modified",
        "size": number * 512,
        "modified": 1_700_000_000.5 + number,
        "by": "editor",
        "is_folder": False,
        "text": TEXT,
    }


def topic_names(count: int) -> list[str]:
    """*count* literal topics."""
    return [f"bench.area{number}.changed" for number in range(count)]


def batch_of(topics: list[str], size: int = BURST) -> list[str]:
    """The topics of one burst, each in turn."""
    return [topics[number % len(topics)] for number in range(size)]


class Sink:
    """Counts what arrives: the work of every handler, whatever it is given."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    async def handle(self, message: object) -> None:
        self.count += 1

    async def wait_count(self, count: int) -> None:
        """Wait until *count* have arrived."""
        while self.count < count:  # noqa: ASYNC110  # an event would cost the handler more
            await asyncio.sleep(0)


class Meter:
    """Measures the CPU time of this process from now on; wants to run for *seconds* of it."""

    __slots__ = ("_began", "_end")

    def __init__(self, seconds: float) -> None:
        gc.collect()
        gc.freeze()  # as `loom kernel` does when it is ready
        self._began = process_time()
        self._end = self._began + seconds

    @property
    def is_over(self) -> bool:
        """Whether it ran as long as it wanted."""
        return process_time() >= self._end

    @property
    def spent(self) -> float:
        """CPU seconds until now."""
        return process_time() - self._began


async def drive(
    publish: Publish, sink: Sink, batch: list[str], meter: Meter, copies: int = 1
) -> int:
    """Publish bursts until *meter* is over and all has arrived; return how many were published.

    Each event arrives *copies* times at *sink*.
    """
    sent = 0
    while not meter.is_over:
        for number, topic in enumerate(batch):
            await publish(topic, make_payload(number))
        sent += len(batch)
        await asyncio.sleep(0)
        await sink.wait_count((sent - len(batch)) * copies)
    await sink.wait_count(sent * copies)
    return sent


class Stopwatch(Sink):
    """A handler that notes how long after its publishing each event arrives."""

    __slots__ = ("_now", "_sent", "taken")

    def __init__(self) -> None:
        super().__init__()
        self._now = asyncio.get_running_loop().time
        self._sent: deque[float] = deque()
        self.taken: list[float] = []

    def start(self) -> None:
        """An event is about to be published."""
        self._sent.append(self._now())

    async def handle(self, message: object) -> None:
        self.count += 1
        self.taken.append(self._now() - self._sent.popleft())

    def figures(self) -> dict[str, float]:
        """The median and the 99th percentile in microseconds."""
        ordered = sorted(self.taken)
        return {f"p{n}_us": ordered[len(ordered) * n // 100] * 1e6 for n in (50, 99)}


async def drive_paced(publish: Publish, watch: Stopwatch, topic: str, seconds: float) -> None:
    """Publish one event each `PACE` for *seconds* of wall time."""
    now = asyncio.get_running_loop().time
    due = now()
    total = max(int(seconds / PACE), 1)
    for number in range(total):
        watch.start()
        await publish(topic, make_payload(number))
        due += PACE
        await asyncio.sleep(max(due - now(), 0.0))
    await watch.wait_count(total)
