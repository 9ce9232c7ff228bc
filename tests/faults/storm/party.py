"""Many agents in one process, each of which talks to a partner in another one.

What it is told comes as JSON in its first argument. It says `ready`, begins on a line of input,
and says at the end what each of its agents received, in order.
"""

from __future__ import annotations

import asyncio
import json
import sys

from loom import Agent, Context, Envelope


class Partner:
    """One agent, and all that reached it."""

    def __init__(self, order: dict[str, str], number: int, events: int) -> None:
        id = f"{order['own']}-{number}"
        self.got: list[int] = []
        self.partner = f"to.{order['other']}-{number}"
        self._events = events
        self._is_done = asyncio.Event()
        self.agent = Agent(
            id, [f"to.{id}"], on_event=self._take, address=order["address"], token=order["token"]
        )

    async def _take(self, ctx: Context, topic: str, event: Envelope) -> None:
        self.got.append(event.data)
        if len(self.got) >= self._events:
            self._is_done.set()

    async def talk(self) -> None:
        for number in range(self._events):
            await self.agent.ctx.emit(self.partner, number)
            await asyncio.sleep(0.05)
        await self._is_done.wait()


async def main() -> None:
    order = json.loads(sys.argv[1])
    partners = [Partner(order, number, order["events"]) for number in range(order["count"])]
    await asyncio.gather(*(partner.agent.start() for partner in partners))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    try:
        async with asyncio.timeout(order["patience"]):
            await asyncio.gather(*(partner.talk() for partner in partners))
    finally:
        print(json.dumps({one.agent.agent_id: one.got for one in partners}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(partner.agent.stop() for partner in partners))


asyncio.run(main())
