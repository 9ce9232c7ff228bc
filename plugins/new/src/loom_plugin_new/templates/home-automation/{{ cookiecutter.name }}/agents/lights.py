"""Lights a room where somebody moves, and puts all lights out at bedtime."""

from loom import Agent, Context, Envelope


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    lit: set[str] = ctx.state.setdefault("lit", set())
    if topic == "timer.bedtime":
        for room in sorted(lit):
            await ctx.emit(f"home.light.{room}", {"switch": "off"})
        lit.clear()
    elif (room := topic.rpartition(".")[2]) not in lit:
        lit.add(room)
        await ctx.emit(f"home.light.{room}", {"switch": "on"})


agent = Agent("lights", topics=["sensor.motion.*", "timer.bedtime"], on_event=on_event)
