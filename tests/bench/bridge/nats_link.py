"""nats-py through nats-server: core publish and request, octets as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats  # type: ignore[import-not-found]  # installed beside, not here

from tests.bench.bridge.roles import Handler, Link, main

MOST = 1 << 20
"""Messages and, times a thousand, octets that may wait for a handler: none is dropped."""


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Link]:
    client = await nats.connect(address)

    async def subscribe(topic: str, handler: Handler) -> None:
        limits = {"pending_msgs_limit": MOST, "pending_bytes_limit": MOST << 10}
        await client.subscribe(topic, cb=handler, **limits)
        await client.flush()

    async def answer(message: Any) -> None:
        await message.respond(message.data)

    yield Link(
        publish=client.publish,
        subscribe=subscribe,
        request=client.request,
        respond=lambda topic: subscribe(topic, answer),
    )
    await client.close()


if __name__ == "__main__":
    main(connect)
