"""Writes the answer, with its sources, and keeps it as a file."""

from __future__ import annotations

from loom import Agent, Context, Envelope, ToolError

from trio_text import file_name, write


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    if event.type != "writer.draft":
        return
    text = write(event.data["question"], event.data["findings"])
    path = f"answers/{file_name(event.data['question'])}.md"
    try:
        await ctx.tool("fs:write_file", {"path": path, "content": text})
    except ToolError as error:
        ctx.log.warning("the answer was not kept: %s", error)
        path = ""
    await ctx.reply(event, {"text": text, "path": path})


agent = Agent("writer", topics=["topic.writer"], on_event=on_event)
