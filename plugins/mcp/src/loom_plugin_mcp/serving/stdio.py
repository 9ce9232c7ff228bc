"""`loom mcp serve`: an MCP server on standard input and output, in front of the running Loom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from loom.instance import CommandFailed, answer_of
from loom_kernel import LoomError, Paths

PATIENCE = 3600.0
"""Seconds that a call may take; the tool's own deadline comes first."""


class Remote:
    """The running Loom, through its control socket."""

    def __init__(self, paths: Paths, client: str) -> None:
        self._paths = paths
        self._client = client

    async def tools(self) -> list[dict[str, Any]]:
        """The tools that are served."""
        tools: list[dict[str, Any]] = (await self._ask("mcp.serve.tools", {}))["tools"]
        return tools

    async def call(self, name: str, arguments: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Run the tool that is called *name* on the wire."""
        asked = {
            "client": self._client, "name": name, "arguments": dict(arguments), "reason": reason,
        }  # fmt: skip
        result: dict[str, Any] = (await self._ask("mcp.serve.call", asked, PATIENCE))["result"]
        return result

    async def resources(self) -> list[str]:
        """The addresses of what can be read."""
        resources: list[str] = (await self._ask("mcp.serve.resources", {}))["resources"]
        return resources

    async def read(self, uri: str) -> str | None:
        """One of them, as JSON."""
        events = (await self._ask("mcp.serve.read", {"uri": uri}))["events"]
        return None if events is None else json.dumps(events, ensure_ascii=False)

    async def _ask(self, topic: str, data: Any, timeout: float = 10.0) -> dict[str, Any]:
        asking = partial(answer_of, self._paths, topic, data, timeout=timeout)
        try:
            answer: dict[str, Any] = await asyncio.to_thread(asking)
        except CommandFailed as error:
            raise LoomError(error.message) from error
        if answer["code"] != "ACTION_OK":
            raise LoomError(answer["message"])
        return answer


async def serve(paths: Paths, client: str) -> None:
    """Speak MCP until the input ends."""
    from mcp.server.stdio import stdio_server

    from loom_plugin_mcp.serving.face import make_server

    server = make_server(Remote(paths, client))
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
