"""The tools of the kit as a plugin in a process of its own."""

from __future__ import annotations

from functools import partial
from typing import Any

from loom.plugin import Call, Plugin

from tests.conformance.tools.handlers import HANDLERS, Handler, descriptors


async def run(handler: Handler, call: Call) -> Any:
    return await handler(call.arguments, call.progress)


plugin = Plugin(types=("tool",))
for tool in descriptors("process"):
    plugin.add(tool, partial(run, HANDLERS[tool.name]), reports=tool.name == "kit:steps")
plugin.run()
