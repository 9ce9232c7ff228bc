"""The router where no model is set up: there is nothing to choose from, and nothing is loaded."""

from __future__ import annotations

from loom_kernel import Envelope, Health, Host

TOPICS = ("router.decide", "router.decisions", "router.why")
WHY = (
    "no model is set up, so there is nothing to choose from: write [llm.<name>] in loom.toml, or "
    "set LOOM_LLM"
)


def listen(host: Host) -> None:
    """Say so to whoever asks."""

    async def answer(envelope: Envelope) -> None:
        await host.reply(envelope, {"error": WHY})

    for topic in TOPICS:
        host.on(topic, handler=answer)
    host.health(lambda: Health(message="no model is set up"))
