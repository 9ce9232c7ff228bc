"""What the plugin does."""

from __future__ import annotations

from loom_kernel import Envelope, Host


class Greeter:
    """Answers each event with a greeting, and tells everybody."""

    def __init__(self, host: Host, greeting: str) -> None:
        self._host = host
        self._greeting = greeting

    async def greet(self, event: Envelope) -> None:
        """Greet whoever `event.data["who"]` names."""
        who = event.data["who"] if isinstance(event.data, dict) else event.sender
        said = {"text": f"{self._greeting}, {who}!"}
        await self._host.publish("{{ cookiecutter.name }}.said", said)
        await self._host.reply(event, said)
