"""Run as a process of its own: starts a confined program and waits. Usage: starter.py HOW MARK."""

from __future__ import annotations

import asyncio
import logging
import sys

from loom.contracts import Command, Confinement, Sandbox
from loom.processes import Output, Process
from loom_kernel.testing import running


async def main(how: str, mark: str) -> None:
    async with running("sandbox") as runtime:
        host = runtime.host("starter")
        sandbox = host.require(Sandbox)
        # The shell starts one more, in a session of its own.
        code = f"setsid sleep {mark} & sleep {mark} & echo started; wait"
        command = Command(("/bin/sh", "-c", code))
        command = (
            sandbox.contain(command) if how == "contain"
            else sandbox.confine(command, Confinement())
        )  # fmt: skip
        relay = Output(logging.getLogger("starter"), host.clock, 1 << 20).relay
        process = await Process.start(command, host.spawn, errors=relay)
        print((await process.stdout.readline()).decode(), end="", flush=True)
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
