"""Takes a question, has it researched and written up, and answers with the text."""

from __future__ import annotations

from loom import Agent, Context, Envelope, NoResponders, RequestTimeout

from trio_text import aspects

PATIENCE_MS = 30_000
"""Long enough for a colleague's process to die and be started again."""


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    if event.type != "user.question":
        return
    question = str(event.data["question"]).strip()
    thread = ctx.thread(event)
    try:
        found = await ctx.request(
            thread,
            "topic.research",
            payload={"question": question, "aspects": aspects(question)},
            type="research.request",
            timeout_ms=PATIENCE_MS,
        )
        written = await ctx.request(
            thread,
            "topic.writer",
            payload={"question": question, "findings": found.data["findings"]},
            type="writer.draft",
            timeout_ms=PATIENCE_MS,
        )
    except (NoResponders, RequestTimeout) as error:
        answer = {"question": question, "error": str(error)}
    else:
        answer = {"question": question, **written.data}
    await ctx.emit("trio.answered", answer)
    await ctx.reply(event, answer)


agent = Agent("planner", topics=["topic.planner"], on_event=on_event)
