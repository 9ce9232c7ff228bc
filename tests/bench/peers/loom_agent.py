"""loom-agent, an unrelated project: its bus awaits the handlers inside `emit`, with no queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tests.bench.peers.scenario import Handler, Publish, measure

# Its package has the name of our SDK, which is not installed in this environment.
EventBus = import_module("loom.events.bus").EventBus


@dataclass(slots=True)
class Event:
    type: str
    payload: dict[str, object]


@asynccontextmanager
async def connect(topics: list[str], handler: Handler) -> AsyncIterator[Publish]:
    bus = EventBus(node_id="bench")
    for topic in topics:
        bus.on(topic, handler)

    def publish(topic: str, payload: dict[str, object]) -> Any:
        return bus.emit(Event(topic, payload))

    yield publish


if __name__ == "__main__":
    measure(connect)
