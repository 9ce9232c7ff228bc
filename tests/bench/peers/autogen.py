"""autogen-core: agents that subscribe to topics of its in-process runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from autogen_core import (  # type: ignore[import-not-found]  # installed beside, not here
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    event,
)

from tests.bench.peers.scenario import Handler, Publish, measure


@dataclass
class Event:
    number: int
    path: str
    kind: str
    size: int
    modified: float
    by: str
    is_folder: bool
    text: str


class Receiver(RoutedAgent):  # type: ignore[misc]  # its class is not known here
    def __init__(self, handler: Handler) -> None:
        super().__init__("receives")
        self._handler = handler

    @event  # type: ignore[untyped-decorator]  # autogen-core is not known here
    async def receive(self, message: Event, ctx: MessageContext) -> None:
        await self._handler(message)


@asynccontextmanager
async def connect(topics: list[str], handler: Handler) -> AsyncIterator[Publish]:
    runtime = SingleThreadedAgentRuntime()
    for number, topic in enumerate(topics):
        name = f"receiver{number}"
        await Receiver.register(runtime, name, lambda: Receiver(handler))
        await runtime.add_subscription(TypeSubscription(topic, name))
    runtime.start()
    places = {topic: TopicId(topic, "default") for topic in topics}

    def publish(topic: str, payload: dict[str, Any]) -> Any:
        return runtime.publish_message(Event(**payload), places[topic])

    yield publish
    await runtime.stop()


if __name__ == "__main__":
    measure(connect)
