"""A client that has a WebSocket library and JSON, and nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.conformance.bridge.drivers.byhand import HandClient
from tests.conformance.bridge.drivers.lines import run

Json = dict[str, Any]


class WebSocketLine:
    """One text message a frame."""

    connection: ClientConnection

    async def open(self, address: str) -> None:
        where = urlsplit(address)
        options: Any = {"compression": None, "proxy": None, "max_size": None}
        options |= {"ping_interval": None, "open_timeout": 5}
        try:
            if where.scheme == "ws+unix":
                uri = "ws://localhost/bridge"
                self.connection = await unix_connect(where.path, uri, **options)
            else:
                self.connection = await connect(f"{address}/bridge", **options)
        except (InvalidHandshake, TimeoutError, EOFError) as error:
            raise ConnectionError(str(error)) from None

    async def send(self, frame: Json) -> None:
        try:
            await self.connection.send(json.dumps(frame))
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    async def receive(self) -> Json:
        try:
            frame: Json = json.loads(await self.connection.recv())
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from None
        return frame

    async def close(self) -> None:
        await self.connection.close()


if __name__ == "__main__":
    run(lambda: HandClient(WebSocketLine))
