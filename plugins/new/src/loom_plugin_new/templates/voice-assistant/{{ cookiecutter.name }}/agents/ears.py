"""Waits for the wake phrase in what was heard and passes on what follows it."""

from loom import Agent, Context, Envelope


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    heard = event.data["text"].strip()
    wake = ctx.config.get("wake", "hey loom")
    if heard.lower().startswith(wake):
        question = heard[len(wake) :].strip(" ,.!?")
        await ctx.emit("assistant.asked", {"question": question})


agent = Agent("ears", topics=["transcript.final"], on_event=on_event)
