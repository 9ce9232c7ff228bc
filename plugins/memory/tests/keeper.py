"""Remembers without end, for a test that kills it: `python keeper.py STATE FIRST`.

Prints the number of each event, and the hash of each plan, once it was answered.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from loom import Context
from loom.contracts import ContextItem, ExecutionRecord, PlanRecord
from loom_kernel.testing import running


async def keep(state: Path, number: int) -> None:
    async with running("memory", state=state) as runtime:
        memory = Context(runtime.host("ada"), "ada").memory
        while True:
            number += 1
            plan = PlanRecord(subject="S", action="DO", plan_hash=f"p{number}")
            await memory.save_plan(plan)
            done = ExecutionRecord(subject="S", status="succeeded", reference=str(number))
            await memory.mark_executed(plan.plan_hash, done)
            await memory.append_event(f"step{number} was done", {"n": str(number)})
            item = ContextItem(text=f"item{number}", key="latest")
            await memory.save_context([item])
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), int(sys.argv[2])))
