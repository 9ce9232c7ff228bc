"""The raw limit of gRPC: a server that sends back what came, on an open stream or call by call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tests.bench.bridge.roles import Link, main, orders, settle_down

SERVICE = "bench.Echo"


async def serve(address: str) -> None:
    """Send back until the input ends."""

    async def unary(body: bytes, context: Any) -> bytes:
        return body

    async def stream(_: Any, context: Any) -> None:
        while (body := await context.read()) is not grpc.aio.EOF:
            await context.write(body)

    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(address)
    await server.start()
    settle_down(address=address)
    async for _ in orders():
        pass


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Link]:
    async with grpc.aio.insecure_channel(address) as channel:
        unary: Any = channel.unary_unary(f"/{SERVICE}/Unary")
        stream: Any = channel.stream_stream(f"/{SERVICE}/Stream")()
        turn = asyncio.Lock()

        async def request(topic: str, body: bytes) -> object:
            """On the stream; a call of its own if *topic* says so."""
            if topic == "unary":
                return await unary(body)
            async with turn:
                await stream.write(body)
                return await stream.read()

        await request("stream", b"")
        yield Link(request=request)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve(sys.argv[2]))
    else:
        main(connect)
