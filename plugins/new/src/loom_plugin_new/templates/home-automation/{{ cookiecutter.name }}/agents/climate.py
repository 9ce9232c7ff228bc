"""Heats a room that is colder than `[agents.climate] coldest` (degrees Celsius)."""

from loom import Agent, Context, Envelope


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    room = topic.rpartition(".")[2]
    wanted = "on" if event.data["celsius"] < ctx.config["coldest"] else "off"
    if ctx.state.get(room) != wanted:
        ctx.state[room] = wanted
        await ctx.emit(f"home.heating.{room}", {"switch": wanted})


agent = Agent("climate", topics=["sensor.temperature.*"], on_event=on_event)
