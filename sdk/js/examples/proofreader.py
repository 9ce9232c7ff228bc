"""One half of a task; the other is editor.js. Start both, in any order, with a Loom running."""

from __future__ import annotations

import asyncio

from loom import Agent, Context, Envelope, barrier, bid
from loom.bridge import parse_address


class Proofreader(Agent):
    """Bids for every text, and corrects what it gets."""

    closed: asyncio.Event

    async def on_start(self, ctx: Context) -> None:
        self.closed = asyncio.Event()

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        if topic == "desk.closed":
            self.closed.set()
        elif award := await bid(ctx, event, score=0.8):
            async with award:
                await award.deliver({"text": award.task["text"].replace("eh", "he")})


async def main() -> None:
    topics = ["proofreading.wanted", "desk.closed"]
    agent = Proofreader("proofreader", topics)
    agent.address = agent.address or str(parse_address())  # the Loom of this folder, or the user's
    await agent.start()
    try:
        await barrier(agent.ctx, "desk", ["editor", "proofreader"])
        await agent.closed.wait()
    finally:
        await agent.stop()


if __name__ == "__main__":
    asyncio.run(main())
