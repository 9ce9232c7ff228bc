"""Routes the events of `topics` as they are published."""

from __future__ import annotations

import msgspec
from loom.contracts import RouteRequest
from loom_kernel import Envelope, Host, PayloadNotSerializable

from loom_plugin_router.questions import SEEN
from loom_plugin_router.service import Service
from loom_plugin_router.settings import Settings


class Events:
    """Decides about each event before its agent thinks; `router.decided` tells."""

    def __init__(self, host: Host, service: Service) -> None:
        self._host = host
        self._service = service

    def listen(self) -> None:
        """Route from now on."""
        settings: Settings = self._host.settings
        if settings.topics:
            self._host.add_filter(self._see, *settings.topics, order=500)  # what others let pass

    def _see(self, event: Envelope) -> Envelope:
        """Decide while it is being published, so that whoever handles it finds the decision."""
        if not event.topic.startswith("router."):
            self._service.stand(request_of(event), event)
        return event


def request_of(event: Envelope) -> RouteRequest:
    """What a thought about *event* needs, as far as the event says."""
    text = text_of(event)
    details = {"text": text[:SEEN], "characters": len(text)}
    return RouteRequest(agent_of(event), event.type, details=details)


def agent_of(event: Envelope) -> str:
    """Who is to think about it: `metadata.agent`, or whose topic it is; empty = not said."""
    if "agent" in event.metadata:
        return event.metadata["agent"]
    first, _, rest = event.topic.partition(".")
    return rest.partition(".")[0] if first == "agent" else ""


def text_of(event: Envelope) -> str:
    """What the event says, as a model would be told."""
    data = event.data
    if isinstance(data, str):
        return data
    if isinstance(data, bytes):
        return ""
    if isinstance(data, dict):
        for name in ("prompt", "text", "message", "question"):
            if isinstance(data.get(name), str):
                return str(data[name])
    try:
        return event.payload.decode(errors="replace")
    except (PayloadNotSerializable, msgspec.MsgspecError):
        return ""
