"""A well-behaved plugin."""

from __future__ import annotations

from loom.plugin import Call, Emission, Plugin
from loom_kernel import Envelope

plugin = Plugin(types=("tool", "actuator"), version="1.2")


@plugin.tool("words:count")
def count(text: str) -> dict[str, int]:
    """Count the words of a text."""
    return {"words": len(text.split())}


@plugin.tool("words:echo")
async def echo(text: str) -> str:
    """Say it again."""
    return text


@plugin.tool("words:spell", reports=True)
async def spell(text: str, call: Call) -> int:
    """Spell a text."""
    for done in range(len(text)):
        await call.progress(done + 1, len(text), text[done])
    return len(text)


@plugin.on("heard.*")
async def heard(event: Envelope) -> Emission:
    return Emission(topic="said.again", data={"text": event.data["text"]})


plugin.run()
