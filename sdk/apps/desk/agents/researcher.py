"""Reads a planned document and finds out what there is to say about it."""

from __future__ import annotations

import asyncio

import msgspec
from loom import Agent, Context, Envelope, ToolError

from desk_text import Unreadable, analyse, digest_of


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    planned = event.data
    path = planned["path"]
    try:
        content = (await ctx.tool("fs:read_file", {"path": path}))["content"]
        if digest_of(content) != planned["digest"]:
            return  # it was changed since: the planner hears of that and plans anew
        findings = await asyncio.to_thread(analyse, content, path)
    except (ToolError, Unreadable) as error:
        await ctx.emit("document.refused", {"path": path, "reason": str(error)})
        return
    await ctx.emit("document.researched", {**planned, "findings": msgspec.to_builtins(findings)})


agent = Agent("researcher", topics=["document.planned"], on_event=on_event)
