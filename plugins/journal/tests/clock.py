"""A process with a timer, which ends amid the handling of its first run.

`python clock.py STATE LIFE AT`: the timer runs at AT. Prints `run SCHEDULED` for each event of the
timer that is handled.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from loom import Agent, Context, Envelope
from loom.contracts import Agents
from loom_kernel.testing import running, wait_until

STATE, LIFE, AT = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
handled: list[str] = []


async def ring(ctx: Context, topic: str, event: Envelope) -> None:
    if LIFE == "first":
        os._exit(9)
    handled.append(event.data["scheduled"])
    print("run", event.data["scheduled"], flush=True)


async def main() -> None:
    config = {"plugins": {"timers": {"timer": {"bell": {"at": AT}}}}}
    async with running("journal", "agents", "timers", state=STATE, config=config) as runtime:
        agents = runtime.host("tower").require(Agents)
        await agents.create(Agent("bell", ["timer.bell"], on_event=ring).definition())
        await wait_until(lambda: handled and runtime.health()["journal"].metrics["lag"] == 0)
        await agents.stop("bell")


asyncio.run(main())
