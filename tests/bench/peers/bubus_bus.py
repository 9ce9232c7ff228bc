"""bubus: a bus whose events are pydantic models. It takes at most a hundred at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bubus import BaseEvent, EventBus  # type: ignore[import-not-found]  # installed beside

from tests.bench.peers.scenario import Handler, Publish, measure

PENDING = 32


class Event(BaseEvent):  # type: ignore[misc]  # its class is not known here
    number: int
    path: str
    kind: str
    size: int
    modified: float
    by: str
    is_folder: bool
    text: str


@asynccontextmanager
async def connect(topics: list[str], handler: Handler) -> AsyncIterator[Publish]:
    bus = EventBus(name="bench")
    kinds = {topic: topic.replace(".", "_").title() for topic in topics}
    for number, topic in enumerate(topics):
        bus.on(kinds[topic], _receiver(handler, number))
    pending = 0

    async def publish(topic: str, payload: dict[str, Any]) -> None:
        nonlocal pending
        dispatched = bus.dispatch(Event(event_type=kinds[topic], **payload))
        pending += 1
        if pending == PENDING:
            pending = 0
            await dispatched

    yield publish


def _receiver(handler: Handler, number: int) -> Any:
    async def receive(event: Any) -> None:
        await handler(event)

    receive.__name__ = f"receive{number}"  # it tells handlers apart by their names
    return receive


if __name__ == "__main__":
    measure(connect)
