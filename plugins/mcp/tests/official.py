"""A server made with the official SDK.

python official.py stdio | streamable-http PORT | sse PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import mcp_types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from pydantic import BaseModel

server = MCPServer("official", version="1.0")


class Name(BaseModel):
    name: str


async def ask_name(ctx: Context) -> Elicit[Name]:
    return Elicit("your name?", Name)


async def ask_model(ctx: Context) -> Sample:
    words = mcp_types.TextContent(type="text", text="say hello")
    return Sample([mcp_types.SamplingMessage(role="user", content=words)], max_tokens=10)


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def wait(ctx: Context) -> str:
    """Wait for ever, and say so first."""
    await ctx.report_progress(1, 2, "waiting")
    await asyncio.Event().wait()
    return "never"


@server.tool()
async def greet(who: Annotated[Name, Resolve(ask_name)]) -> str:
    """Greet whoever says who they are."""
    return f"hello {who.name}"


@server.tool()
async def complete(said: Annotated[mcp_types.CreateMessageResult, Resolve(ask_model)]) -> str:
    """Let the client's model speak."""
    return f"it said: {said.content.text if said.content.type == 'text' else ''}"


@server.tool()
async def grow(ctx: Context) -> str:
    """Get one more tool."""
    server.add_tool(grown, name="grown")
    await ctx.notify_tools_changed()
    await ctx.notify_resource_updated("memo://one")
    return "grown"


@server.tool()
async def large(size: int) -> str:
    """Answer with so many letters."""
    return "x" * size


async def grown() -> str:
    """It was not there before."""
    return "new"


@server.resource("memo://one")
async def memo() -> str:
    """The first memo."""
    return "one"


@server.prompt()
def hello(who: str) -> str:
    """Greet somebody."""
    return f"Say hello to {who}."


def main() -> None:
    way = sys.argv[1]
    options: dict[str, Any] = {}
    if way != "stdio":
        options = {"host": "127.0.0.1", "port": int(sys.argv[2])}
    server.run(way, **options)  # type: ignore[call-overload]  # one of the three


if __name__ == "__main__":
    main()
