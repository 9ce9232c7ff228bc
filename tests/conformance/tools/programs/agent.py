"""The tools of the kit from an agent in another process, over the bridge: address token."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

from loom import ToolProvider
from loom.bridge import connect
from loom.contracts import ToolCall

from tests.conformance.tools.handlers import HANDLERS, descriptors


async def run(provider: ToolProvider, call: ToolCall) -> Any:
    return await HANDLERS[call.name](call.arguments, partial(provider.progress, call))


async def main(address: str, token: str) -> None:
    async with connect(address, token=token, agent="kit") as host:
        provider = ToolProvider(host)
        for tool in descriptors("agent"):
            provider.add(tool, partial(run, provider))
        await provider.start()
        ended = host.world.stop_requested
        assert ended is not None  # `connect` sets it
        await ended.wait()


asyncio.run(main(*sys.argv[1:]))
