"""autogen-ext: agents of two worker runtimes and the gRPC host between them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from autogen_core import (  # type: ignore[import-not-found]  # installed beside, not here
    AgentId,
    MessageContext,
    RoutedAgent,
    TopicId,
    TypeSubscription,
    event,
    rpc,
    try_get_known_serializers_for_type,
)
from autogen_ext.runtimes.grpc import (  # type: ignore[import-not-found]  # the same
    GrpcWorkerAgentRuntime,
    GrpcWorkerAgentRuntimeHost,
)

from tests.bench.bridge.roles import TEXT, Handler, Link, main, orders, say


@dataclass
class Note:
    note: str


class Receiver(RoutedAgent):  # type: ignore[misc]  # its class is not known here
    def __init__(self, handler: Handler) -> None:
        super().__init__("receives")
        self._handler = handler

    @event  # type: ignore[untyped-decorator]  # autogen-core is not known here
    async def receive(self, message: Note, ctx: MessageContext) -> None:
        await self._handler(message)


class Responder(RoutedAgent):  # type: ignore[misc]  # the same
    def __init__(self) -> None:
        super().__init__("answers")

    @rpc  # type: ignore[untyped-decorator]  # the same
    async def answer(self, message: Note, ctx: MessageContext) -> Note:
        return message


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Link]:
    runtime = GrpcWorkerAgentRuntime(host_address=address)
    runtime.add_message_serializer(try_get_known_serializers_for_type(Note))
    await runtime.start()

    async def subscribe(topic: str, handler: Handler) -> None:
        await Receiver.register(runtime, "receiver", lambda: Receiver(handler))
        await runtime.add_subscription(TypeSubscription(topic, "receiver"))

    def publish(topic: str, note: Note) -> Any:
        return runtime.publish_message(note, TopicId(topic, "default"))

    async def respond(topic: str) -> None:
        await Responder.register(runtime, topic, Responder)

    def request(topic: str, note: Note) -> Any:
        return runtime.send_message(note, AgentId(topic, "default"))

    yield Link(
        payload=Note(TEXT.decode()),
        publish=publish,
        subscribe=subscribe,
        request=request,
        respond=respond,
    )


async def serve(address: str) -> None:
    """Be the host until the input ends."""
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    say(ready=True, address=address)
    async for _ in orders():
        pass
    await host.stop(0)


if __name__ == "__main__":
    if sys.argv[1] == "host":
        asyncio.run(serve(sys.argv[2]))
    else:
        main(connect)
