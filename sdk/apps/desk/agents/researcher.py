"""Reads a planned document and finds out what there is to say about it, or asks a model."""

from __future__ import annotations

import asyncio

import msgspec
from loom import Agent, Context, Envelope, LLMProvider, NoResponders, RequestTimeout, ToolError
from loom.cognition import fenced
from loom.contracts import BudgetExceeded, Message, ModelError, ModelReply, ModelRequest

from desk_text import (
    READ,
    SYSTEM,
    Findings,
    Malformed,
    Unreadable,
    analyse,
    digest_of,
    read_opinion,
    schema,
    told_by,
)

MOST_TOKENS = 1_000


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
    if findings.character_count and await has_model(ctx):
        findings = await with_opinion(ctx, findings, path, content)
    await ctx.emit("document.researched", {**planned, "findings": msgspec.to_builtins(findings)})


async def has_model(ctx: Context) -> bool:
    """Whether the runtime offers a model that the owner lets see documents."""
    use = ctx.config.get("use_model", "local")
    if use == "never":
        return False
    try:
        found = (await ctx.request("llm.list", {"name": ""})).data["models"]
    except (NoResponders, RequestTimeout):
        return False
    return bool(found) and (use == "any" or found[0]["is_local"])


async def with_opinion(ctx: Context, findings: Findings, path: str, content: str) -> Findings:
    """*findings* with the model's words for title, summary and key points, if they are usable."""
    try:
        reply = await ask(ctx, path, content)
        return told_by(findings, read_opinion(reply.content), reply.model, content)
    except Malformed as error:
        ctx.log.warning("%s: the model's answer was not used: %s", path, error)
        why = "the model's answer was not of the form that was asked for"
    except (ModelError, BudgetExceeded) as error:
        ctx.log.warning("%s: the model was not heard: %s", path, error)
        code = error.code if isinstance(error, ModelError) else "BUDGET_EXCEEDED"
        why = f"the model gave no answer ({code})"
    return msgspec.structs.replace(findings, unheard=why)


async def ask(ctx: Context, path: str, content: str) -> ModelReply:
    """What the runtime's model says of the document."""
    asked = (Message("system", SYSTEM), Message("user", fenced(path, content[:READ])))
    llm = LLMProvider.from_runtime(ctx)
    return await llm.ask(ModelRequest(asked, schema=schema(), max_tokens=MOST_TOKENS))


agent = Agent("researcher", topics=["document.planned"], on_event=on_event)
