"""A process to be killed: it takes numbered orders, handles them, and says what it has accepted.

`python shop.py STATE LAST WHAT`: publishes orders after number LAST for as long as it lives, and
prints `accepted N` once an order is on the disk. The clerk adds up in its state, passes each order
on, and prints `total N SUM`. WHAT is `work`, `poison` (the handler of order 3 ends the process) or
`drain` (publish nothing, print `idle` when all is handled).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from zlib import crc32

from loom import Agent, Context, Envelope
from loom.contracts import Agents
from loom_kernel import Runtime
from loom_kernel.testing import running, wait_until

STATE, LAST, WHAT = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


async def handle(ctx: Context, topic: str, event: Envelope) -> None:
    number = event.data["number"]
    if WHAT == "poison" and number == 3:
        os._exit(9)
    ctx.state["sum"] = ctx.state.get("sum", 0) + number
    ctx.state["seen"] = [*ctx.state.get("seen", []), number][-200:]
    await ctx.emit("parcel.sent", {"number": number})
    print("total", number, ctx.state["sum"], flush=True)


async def deliver(ctx: Context, topic: str, event: Envelope) -> None:
    number = event.data["number"]
    ctx.state["count"] = ctx.state.get("count", 0) + 1
    ctx.state["chain"] = crc32(str(number).encode(), ctx.state.get("chain", 0))


async def publish(runtime: Runtime) -> None:
    host = runtime.host("customer")
    number = LAST
    while True:
        number += 1
        await host.publish("order.placed", {"number": number})
        print("accepted", number, flush=True)


async def main() -> None:
    async with running("journal", "agents", state=STATE) as runtime:
        agents = runtime.host("shop").require(Agents)
        clerk = Agent("clerk", ["order.placed"], on_event=handle)
        driver = Agent("driver", ["parcel.sent"], on_event=deliver)
        for agent in (driver, clerk):
            await agents.create(agent.definition())
        print("ready", flush=True)
        if WHAT != "drain":
            await publish(runtime)
        health = runtime.health
        await wait_until(lambda: health()["journal"].metrics["lag"] == 0, timeout=90)
        await wait_until(lambda: not runtime.bus.busy(), timeout=90)
        print("idle", clerk.ctx.state, driver.ctx.state, sep="|", flush=True)
        for id in ("clerk", "driver"):
            await agents.stop(id)


asyncio.run(main())
