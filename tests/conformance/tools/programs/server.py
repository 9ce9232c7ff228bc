"""The tools of the kit as an MCP server, made with the official SDK."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)

from tests.conformance.tools.handlers import HANDLERS, descriptors

TOOLS = [
    Tool(
        name=tool.name.removeprefix("kit:"),
        description=tool.description,
        input_schema=dict(tool.parameters),
        annotations=ToolAnnotations(
            read_only_hint=tool.hints.read_only,
            idempotent_hint=tool.hints.idempotent,
            destructive_hint=tool.hints.destructive,
        ),
    )
    for tool in descriptors("mcp")
]


async def listed(ctx: Any, params: Any) -> ListToolsResult:
    return ListToolsResult(tools=TOOLS)


async def call(ctx: Any, params: CallToolRequestParams) -> CallToolResult:
    """The protocol knows content for people: a value is its JSON text."""
    run = HANDLERS[f"kit:{params.name}"]
    try:
        text = json.dumps(await run(params.arguments or {}, ctx.session.report_progress))
    except RuntimeError as error:
        return CallToolResult(content=[TextContent(text=str(error))], is_error=True)
    return CallToolResult(content=[TextContent(text=text)])


async def main() -> None:
    server = Server("kit", version="1.0", on_list_tools=listed, on_call_tool=call)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


asyncio.run(main())
