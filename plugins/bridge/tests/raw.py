"""A client that says exactly what it is told to: for what the SDK would never say."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from loom.bridge import messages

T = TypeVar("T")
_decode = msgspec.msgpack.Decoder(messages.ServerFrame).decode


class RawClient:
    """Speaks frames on the bridge's Unix socket, by hand."""

    def __init__(self, path: Path, token: str) -> None:
        self._path = path
        self._token = token
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._inbox: list[Any] = []

    async def connect(self) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_unix_connection(self._path)

    async def send(self, body: bytes) -> None:
        await self.connect()
        assert self._writer is not None
        self._writer.write(body)
        await self._writer.drain()

    async def say(self, *said: messages.ClientMessage, first: int = 0, seen: int = 0) -> None:
        frame = messages.ClientFrame(first, seen, list(said))
        body = msgspec.msgpack.encode(frame)
        await self.send(struct.pack(">I", len(body)) + body)

    async def frame(self) -> messages.ServerFrame:
        """The next frame.

        Raises:
            asyncio.IncompleteReadError: the server closed.
        """
        assert self._reader is not None
        async with asyncio.timeout(5):
            (length,) = struct.unpack(">I", await self._reader.readexactly(4))
            return _decode(await self._reader.readexactly(length))

    async def next(self, kind: type[T]) -> T:
        """The next message of that kind; what came before it is passed over."""
        while True:
            while self._inbox:
                message = self._inbox.pop(0)
                if isinstance(message, kind):
                    return message
            self._inbox = list((await self.frame()).messages)

    async def hello(self, **fields: Any) -> messages.Welcome:
        fields.setdefault("token", self._token)
        await self.say(messages.Hello(**fields))
        return await self.next(messages.Welcome)

    async def refused(self, **fields: Any) -> messages.Failure:
        """The refusal that this hello meets, after which the server closes."""
        fields.setdefault("token", self._token)
        await self.say(messages.Hello(**fields))
        return await self.farewell()

    async def farewell(self) -> messages.Failure:
        """The fatal failure with which the server closes."""
        failure = await self.next(messages.Failure)
        assert failure.fatal
        await self.closed()
        return failure

    async def closed(self) -> None:
        """Wait until the server has closed."""
        assert self._reader is not None
        async with asyncio.timeout(5):
            assert await self._reader.read() == b""

    def cut(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer.close()
