"""A process whose tool changes the world, and which ends amid that.

`python mailer.py STATE SENT WHEN HINT`: an agent sends one mail per order by the tool `mail:send`,
which adds a line to the file SENT. The process ends `before` or `after` the line is written, or
`never`; HINT is `idempotent` or `once`. Prints `outcome CODE` for what the agent was told.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from loom import Agent, Context, Envelope, ToolError, ToolProvider
from loom.contracts import Agents, ToolCall, ToolDescriptor, ToolHints
from loom_kernel.testing import running, wait_until

STATE, SENT, WHEN, HINT = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]


def note(line: str) -> None:
    with SENT.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


async def send(call: ToolCall) -> dict[str, str]:
    if WHEN == "before":
        os._exit(9)
    note(f"{call.id} {call.arguments['to']}")
    if WHEN == "after":
        os._exit(9)
    return {"sent": call.arguments["to"]}


async def handle(ctx: Context, topic: str, event: Envelope) -> None:
    try:
        output = await ctx.tool("mail:send", {"to": event.data})
    except ToolError as error:
        print("outcome", error.code, flush=True)
        return
    print("outcome", "ACTION_OK", output, flush=True)
    if WHEN == "told":
        os._exit(9)


async def main() -> None:
    config = {"plugins": {"tools": {"grants": {"clerk": ["mail:*"]}}}}
    async with running("journal", "tools", "agents", state=STATE, config=config) as runtime:
        provider = ToolProvider(runtime.host("mailer"))
        hints = ToolHints(idempotent=HINT == "idempotent")
        provider.add(ToolDescriptor("mail:send", "Sends", {"type": "object"}, hints=hints), send)
        await provider.start()
        agents = runtime.host("office").require(Agents)
        await agents.create(Agent("clerk", ["order.placed"], on_event=handle).definition())
        if not SENT.exists():
            SENT.touch()
            await runtime.host("customer").publish("order.placed", "ann@example.org")
        await wait_until(lambda: runtime.health()["journal"].metrics["lag"] == 0, timeout=20)
        await agents.delete("clerk")
        await provider.withdraw()


asyncio.run(main())
