"""Hosts: how a platform brings its senses and effectors to Loom.

An adapter for a platform (a desktop, a phone, a robot) is a driver of the entry-point group
`loom.hosts`: a class that takes the settings of `[plugins.hosts]`, a mapping, and is a
`HostAdapter`. `loom.testing.check_host_adapter` is what every one must pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol


class EventSource(Protocol):
    """A sense."""

    name: str
    """One topic token; its events go to `host.<name>.<kind>`."""

    def events(self) -> AsyncIterator[tuple[str, Any]]:
        """What is sensed, as (kind, data), until the source ends or is cancelled."""
        ...


class ActionSink(Protocol):
    """An effector."""

    name: str
    """One topic token; actions come from `action.<name>`."""

    async def act(self, data: Any) -> Mapping[str, Any]:
        """Do what *data* asks and say what was done.

        Raises:
            ValueError: *data* asks for nothing that this sink can do.
        """
        ...


class HostAdapter(Protocol):
    """A platform: its sources and sinks."""

    name: str

    def sources(self) -> Sequence[EventSource]:
        """What it senses."""
        ...

    def sinks(self) -> Sequence[ActionSink]:
        """What it can do."""
        ...
