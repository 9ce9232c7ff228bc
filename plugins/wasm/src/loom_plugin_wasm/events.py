"""Events handed to modules, and what modules publish in answer."""

from __future__ import annotations

from typing import Any

import msgspec
from loom_kernel import Envelope, Host, LoomError, Subscription, encode_json, matches

from loom_plugin_wasm.module import GuestModule

MOST_EMISSIONS = 100
"""That one event may cause."""


class Emission(msgspec.Struct, frozen=True):
    """One event that a module wants to be published."""

    topic: str
    data: Any = None
    type: str = ""


class BadEmission(LoomError):
    """A module answered an event with what cannot be published: mend it, or its `publish`."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        super().__init__(f"module {name!r} answered an event with {problem}")


class Listener:
    """Hands the events that a module subscribed to, to it; what it answers is published."""

    def __init__(self, host: Host, module: GuestModule) -> None:
        self._module = module
        self._scope = host.scope(f"wasm/{module.name}")
        self._subscription: Subscription | None = None

    def update(self) -> None:
        """Listen if the module is ready, and not otherwise."""
        patterns = self._module.table.subscribe
        is_wanted = self._module.state == "ready" and bool(patterns)
        if is_wanted and self._subscription is None:
            name = f"{self._scope.name}:events"
            self._subscription = self._scope.on(*patterns, handler=self._handle, name=name)
        elif not is_wanted and self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    async def _handle(self, envelope: Envelope) -> None:
        """One event. What goes wrong is the handler's failure, and told as such by the bus."""
        if envelope.sender == self._scope.name:
            return  # its own words would come back to it for ever
        module = self._module
        answer = await module.call(self._scope.name, module.manifest.event, _content(envelope))
        for emission in self._emissions(answer):
            await self._scope.publish(emission.topic, emission.data, emission.type)

    def _emissions(self, answer: bytes) -> list[Emission]:
        """What *answer* asks for, if all of it may be published."""
        name = self._module.name
        try:
            found = msgspec.json.decode(answer or b"[]", type=list[Emission])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadEmission(name, f"no list of events: {error}") from None
        if len(found) > MOST_EMISSIONS:
            raise BadEmission(name, f"{len(found)} events; {MOST_EMISSIONS} are allowed")
        for emission in found:
            if not any(matches(pattern, emission.topic) for pattern in self._module.table.publish):
                raise BadEmission(name, f"topic {emission.topic!r}, which 'publish' does not allow")
        return found


def _content(envelope: Envelope) -> bytes:
    """*envelope* as a module sees it."""
    return encode_json(
        {
            "id": envelope.id,
            "topic": envelope.topic,
            "type": envelope.type,
            "time": envelope.time,
            "sender": envelope.sender,
            "subject": envelope.subject,
            "labels": sorted(envelope.labels),
            "data": envelope.data,
        },
        envelope.topic,
    )
