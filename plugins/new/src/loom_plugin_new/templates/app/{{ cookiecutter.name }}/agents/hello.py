"""An agent: it says what it hears, and counts."""

from loom import Agent, Context, Envelope


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    ctx.state["heard"] = ctx.state.get("heard", 0) + 1
    await ctx.emit("hello.said", {"topic": topic, "heard": ctx.state["heard"]})


agent = Agent("hello", topics=["hello.asked", "timer.minute"], on_event=on_event)
