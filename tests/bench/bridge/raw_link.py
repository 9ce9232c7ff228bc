"""The raw limit: a hub on a Unix socket that looks at a topic of fixed width and decodes nothing.

A frame is 4 bytes of length, 16 of topic, and the rest; writing is adaptive, as the carriers do
it. No envelope, no accounts, no bounds, no names, no acknowledgements.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.bench.bridge.roles import Handler, Link, main, orders, settle_down

WIDTH = 16
_HEAD = struct.Struct(f">I{WIDTH}s")
CONTROL, REPLY = b"\0" * WIDTH, "bench.reply"


def name(topic: str) -> bytes:
    return topic.encode().ljust(WIDTH)


def framed(topic: bytes, body: bytes) -> bytes:
    return _HEAD.pack(len(body), topic) + body


class Wire(asyncio.Protocol):
    """Splits what comes into frames, and writes what gathered in one turn of the loop at once."""

    def __init__(self, take: Callable[[Wire, bytes, bytes], None]) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._gathered: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream socket

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= _HEAD.size:
            size, topic = _HEAD.unpack_from(data, at)
            if len(data) - at < _HEAD.size + size:
                break
            end = at + _HEAD.size + size
            self._take(self, topic, data[at:end])
            at = end
        self._rest = data[at:]

    def send(self, frame: bytes) -> None:
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(frame)

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._gathered))
        self._gathered.clear()


async def serve(path: str) -> None:
    """Be the hub until the input ends."""
    wires: dict[bytes, list[Wire]] = {}

    def route(wire: Wire, topic: bytes, frame: bytes) -> None:
        if topic == CONTROL:
            wires.setdefault(frame[_HEAD.size :], []).append(wire)
            wire.send(frame)
        else:
            for known in wires[topic]:
                known.send(frame)

    await asyncio.get_running_loop().create_unix_server(lambda: Wire(route), path)
    settle_down(address=path)
    async for _ in orders():
        pass


class Client:
    """One connection: events are queued for a handler, replies come in the order of requests."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._arrival = asyncio.Event()
        self._asked: deque[asyncio.Future[bytes]] = deque()
        self._hears_replies = False
        self.wire = Wire(self._take)

    def _take(self, wire: Wire, topic: bytes, frame: bytes) -> None:
        if topic in (CONTROL, name(REPLY)):
            self._asked.popleft().set_result(frame)
        else:
            self._queue.append(frame)
            self._arrival.set()

    async def publish(self, topic: str, body: bytes) -> None:
        self.wire.send(framed(name(topic), body))

    async def reply(self, frame: bytes) -> None:
        self.wire.send(framed(name(REPLY), frame[_HEAD.size :]))

    async def listen(self, topic: str) -> None:
        await self._ask(framed(CONTROL, name(topic)))

    async def consume(self, handler: Handler) -> None:
        while True:
            self._arrival.clear()
            while self._queue:
                await handler(self._queue.popleft())
            await self._arrival.wait()

    async def request(self, topic: str, body: bytes) -> object:
        if not self._hears_replies:
            self._hears_replies = True
            await self.listen(REPLY)
        return await self._ask(framed(name(topic), body))

    def _ask(self, frame: bytes) -> asyncio.Future[bytes]:
        self._asked.append(self._loop.create_future())
        self.wire.send(frame)
        return self._asked[-1]


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Link]:
    client = Client()
    await asyncio.get_running_loop().create_unix_connection(lambda: client.wire, address)
    async with asyncio.TaskGroup() as group:

        async def subscribe(topic: str, handler: Handler) -> None:
            group.create_task(client.consume(handler))
            await client.listen(topic)

        yield Link(
            publish=client.publish,
            subscribe=subscribe,
            request=client.request,
            respond=lambda topic: subscribe(topic, client.reply),
        )


if __name__ == "__main__":
    if sys.argv[1] == "hub":
        asyncio.run(serve(sys.argv[2]))
    else:
        main(connect)
