"""Finds what the library says; others may use its search as a tool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from loom import Agent, Context, Envelope, capability

from trio_text import Library

LIBRARY = Path(__file__).resolve().parent.parent / "library"


@capability("research.search", version="1.0")
async def search(query: str, limit: int = 3) -> list[dict[str, Any]]:
    """The sentences of the library that say most about *query*, the best first."""
    library = await asyncio.to_thread(Library.read, LIBRARY)
    return [msgspec.to_builtins(passage) for passage in library.search(query, limit)]


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    if event.type != "research.request":
        return
    findings = [
        {"aspect": aspect, "passages": await search(aspect)} for aspect in event.data["aspects"]
    ]
    await ctx.reply(event, {"findings": findings})


agent = Agent("researcher", topics=["topic.research"], capabilities=[search], on_event=on_event)
