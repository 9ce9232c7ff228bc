"""Routes the events of `topics` as they are published."""

from __future__ import annotations

from loom.contracts import RouteRequest
from loom_kernel import Envelope, Host, LoomError

from loom_plugin_router.questions import SEEN
from loom_plugin_router.service import Service
from loom_plugin_router.settings import Settings

TEXTS = ("prompt", "text", "message", "question")
"""Keys of an event's data that hold what is asked, the first that is there."""


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
            try:
                self._service.stand(request_of(event), event)
            except LoomError as error:  # the event goes its way, whatever becomes of the decision
                self._host.log.warning("event %s is not routed: %s", event.id, error)
        return event


def request_of(event: Envelope) -> RouteRequest:
    """What a thought about *event* needs, as far as the event says."""
    text, length = text_of(event)
    details = {"text": text, "characters": length}
    return RouteRequest(agent_of(event), event.type, details=details)


def agent_of(event: Envelope) -> str:
    """Who is to think about it: `metadata.agent`, or whose topic it is; empty = not said."""
    if "agent" in event.metadata:
        return event.metadata["agent"]
    first, _, rest = event.topic.partition(".")
    return rest.partition(".")[0] if first == "agent" else ""


def text_of(event: Envelope) -> tuple[str, int]:
    """The beginning of what the event says, as a model would be told, and how long all of it is.

    Raises:
        LoomError: its data has no text.
    """
    data = event.data
    if isinstance(data, bytes):
        return "", len(data)
    found = data.get(next(filter(data.__contains__, TEXTS), "")) if isinstance(data, dict) else data
    if isinstance(found, str):
        return found[:SEEN], len(found)
    payload = event.payload
    return payload[:SEEN].decode(errors="replace"), len(payload)
