"""aiopubsub: a hub with a queue and a task for each subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiopubsub import (  # type: ignore[import-not-found]  # installed beside, not here
    Hub,
    Key,
    Publisher,
    Subscriber,
)

from tests.bench.peers.scenario import Handler, Publish, measure


@asynccontextmanager
async def connect(topics: list[str], handler: Handler) -> AsyncIterator[Publish]:
    hub = Hub()
    publisher = Publisher(hub, "bench")
    subscribers = [Subscriber(hub, str(number)) for number in range(len(topics))]

    async def receive(key: Any, message: object) -> None:
        await handler(message)

    for subscriber, topic in zip(subscribers, topics, strict=True):
        subscriber.add_async_listener(Key("bench", topic), receive)
    await asyncio.sleep(0)

    async def publish(topic: str, payload: dict[str, object]) -> None:
        publisher.publish(topic, payload)

    yield publish
    for subscriber in subscribers:
        await subscriber.remove_all_listeners()


if __name__ == "__main__":
    measure(connect)
