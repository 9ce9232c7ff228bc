"""One member of a crew of processes: `python -m tests.e2e.crew ADDRESS NAME`, token in LOOM_TOKEN.

`lead` asks the others in every way there is and prints what came of it as JSON; any other name
helps: it answers, waits at the barrier, and bids with its score.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from typing import Any

from loom import BarrierTimeout, Context, Envelope, barrier, bid, contract_net, fanout
from loom.bridge import connect

CREW = ["lead", "low", "high"]
SCORES = {"low": 1.0, "high": 2.0}


async def help_out(ctx: Context, event: Envelope) -> None:
    """Answer, wait, or bid, as the topic wants."""
    match event.topic.split("."):
        case ["crew", "meet"]:
            await barrier(ctx, "dock", CREW, 10_000)
        case ["crew", "work"]:
            award = await bid(ctx, event, score=SCORES[ctx.agent_id], promise="soon")
            if award is not None:
                await award.deliver(f"{award.task} by {ctx.agent_id}")
        case _:
            await ctx.reply(event, f"{ctx.agent_id}: {event.data}")


async def lead(ctx: Context) -> dict[str, Any]:
    """Ask the others in every way there is."""
    outcome: dict[str, Any] = {}
    await barrier(ctx, "start", CREW, 10_000)
    outcome["request"] = (await ctx.request("crew.high", "hi")).data
    votes = await ctx.request("crew.vote", "yes", first_k=2)
    outcome["votes"] = sorted(vote.data for vote in votes)
    found = await fanout(ctx, ["crew.low", "crew.high", "crew.none"], "x", strategy="majority")
    outcome["fanout"] = [found.data, found.missing, found.is_complete]
    await ctx.emit("crew.meet")
    await barrier(ctx, "dock", CREW, 10_000)
    try:
        await barrier(ctx, "dock", CREW, 200)
    except BarrierTimeout as error:
        outcome["missing"] = error.missing
    settled = await contract_net(ctx, "crew.work", "netting", window_ms=500)
    outcome["contract"] = [settled.winner, settled.result, settled.bids]
    return outcome


async def main(address: str, name: str) -> None:
    """Be member *name* until the work is done."""
    async with connect(address, agent=name) as host:
        ctx = Context(host, name)
        if name == "lead":
            outcome = await lead(ctx)
            await ctx.emit("crew.done")
            print(json.dumps(outcome))
            return
        done = host.subscribe("crew.done")
        host.on(
            f"crew.{name}", "crew.vote", "crew.meet", "crew.work", handler=partial(help_out, ctx)
        )
        await barrier(ctx, "start", CREW, 10_000)
        await done.receive()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
