"""Loom's own client, on the carrier that the address names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.bridge import connect as connect_host
from loom_kernel import Encoded, Envelope

from tests.bench.bridge.roles import TEXT, Handler, Link, main


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Link]:
    async with connect_host(address) as host:

        async def subscribe(topic: str, handler: Handler) -> None:
            host.on(topic, handler=handler, capacity=1024)
            await host.request("agent.list")  # a session's messages are worked off in order

        async def answer(event: Envelope) -> None:
            await host.reply(event, Encoded(event.payload))

        yield Link(
            payload=Encoded(TEXT),
            publish=host.publish,
            subscribe=subscribe,
            request=host.request,
            respond=lambda topic: subscribe(topic, answer),
        )


if __name__ == "__main__":
    main(connect)
