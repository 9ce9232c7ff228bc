"""A plugin of all four types."""

from __future__ import annotations

from loom.plugin import Emission, Plugin
from loom_kernel import Envelope

plugin = Plugin(types=("feature-extractor", "model-backend", "tool", "actuator"))


@plugin.tool("all:loudness")
def loudness(samples: list[float]) -> float:
    return max(map(abs, samples), default=0.0)


@plugin.on("audio.frame")
async def extract(event: Envelope) -> Emission:
    """Features of raw events."""
    loud = max(map(abs, event.data), default=0.0)
    return Emission(topic="audio.loudness", data=loud, confidence=0.5, tags=("derived",))


@plugin.on("model.asked")
async def complete(event: Envelope) -> Emission:
    """An answer to whoever asked."""
    return Emission(topic=event.reply_to, data={"text": f"{plugin.settings['voice']}!"})


@plugin.on("lamp.wanted")
def act(event: Envelope) -> None:
    """Something that is done, and nothing said."""


plugin.run()
