"""Some agents of a ring, in one process; `ring.mjs` is the same in JavaScript."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import AsyncExitStack
from dataclasses import astuple, dataclass

from loom.bridge import connect
from loom_kernel import Envelope, Host

from tests.bench.bridge.roles import orders, say


@dataclass(frozen=True, slots=True)
class Share:
    """Which agents of which ring, and how they connect: the command line, in this order."""

    language: str
    first: int
    size: int
    total: int
    folder: str
    """Has a socket for each agent."""
    token: str

    def arguments(self) -> list[str]:
        return [str(value) for value in astuple(self)]


class Member:
    """One agent: numbers what it publishes, and notes what comes from the one before it."""

    def __init__(self, share: Share, number: int) -> None:
        self.id = f"{share.language}{number}"
        self.path = f"{share.folder}/{self.id}.sock"
        self.before = f"ring.{share.language}{(number - 1) % share.total}"
        self.seen: set[int] = set()
        self.doubled = self.disordered = 0
        self._next = 0

    async def join(self, stack: AsyncExitStack, token: str) -> None:
        address = f"unix://{self.path}"
        self.host: Host = await stack.enter_async_context(
            connect(address, token=token, agent=self.id)
        )
        self.host.on(self.before, handler=self._take, capacity=4096, name=f"agent:{self.id}")
        await self.host.request("agent.list", {"id": self.id})

    async def publish(self, count: int, pace: float) -> None:
        clock = self.host.clock
        due = clock.monotonic()
        for number in range(count):
            await self.host.publish(f"ring.{self.id}", number)
            due += pace
            await clock.sleep(max(due - clock.monotonic(), 0.0))

    async def _take(self, event: Envelope) -> None:
        number = int(event.data)
        if number in self.seen:
            self.doubled += 1
        elif number != self._next:
            self.disordered += 1
        self.seen.add(number)
        self._next = number + 1


async def main(share: Share) -> None:
    members = [Member(share, share.first + number) for number in range(share.size)]
    async with AsyncExitStack() as stack:
        for member in members:
            await member.join(stack, share.token)
        say(ready=True)
        async for order in orders():
            if "count" in order:
                async with asyncio.TaskGroup() as group:
                    for member in members:
                        group.create_task(member.publish(order["count"], order["pace"]))
            say(
                arrived=sum(len(member.seen) for member in members),
                doubled=sum(member.doubled for member in members),
                disordered=sum(member.disordered for member in members),
            )


if __name__ == "__main__":
    logging.disable(logging.ERROR)  # that links are lost is what it is about
    language, first, size, total, folder, token = sys.argv[1:]
    asyncio.run(main(Share(language, int(first), int(size), int(total), folder, token)))
