"""Loom's runtime as the middle process: `python -m tests.bench.bridge.kernel CONFIG [PROJECT]`.

It tells where its sockets are, answers requests itself, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from loom.bridge import bridge_folder
from loom_kernel import Encoded, Envelope
from loom_kernel.testing import running

from tests.bench.bridge.roles import ANSWERED_INSIDE, orders, settle_down

PLUGINS = ("agents", "tools", "bridge")


async def serve(config: dict[str, object], project: Path | None) -> None:
    async with running(*PLUGINS, config=config, project=project) as runtime:
        host = runtime.host("bench")

        async def answer(event: Envelope) -> None:
            await host.reply(event, Encoded(event.payload))

        host.on(ANSWERED_INSIDE, handler=answer)
        settle_down(address=str(bridge_folder(runtime.host("bench").world.paths)))
        async for _ in orders():
            pass


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None))
