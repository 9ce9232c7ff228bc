"""What the drivers in Python share: commands come in as lines, observations go out as lines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Command = dict[str, Any]
LONGEST = 8 << 20
"""Bytes of the longest line."""


def tell(saw: str, **what: Any) -> None:
    """Write one observation."""
    sys.stdout.write(json.dumps({"saw": saw, **what}) + "\n")
    sys.stdout.flush()


class Client(Protocol):
    """One client of a bridge. Each command of the kit is the method of its name."""

    spawn: Callable[[Awaitable[None]], None]

    async def connect(self, command: Command) -> None: ...
    async def subscribe(self, command: Command) -> None: ...
    async def unsubscribe(self, command: Command) -> None: ...
    async def publish(self, command: Command) -> None: ...
    async def request(self, command: Command) -> None: ...
    async def offer(self, command: Command) -> None: ...
    async def call(self, command: Command) -> None: ...
    async def leave(self, command: Command) -> None: ...


WAITING = ("request", "call")
"""Commands whose outcome comes later; others are carried out in the order they came."""


async def serve(make: Callable[[], Client]) -> None:
    """Carry out what stands on standard input until it ends; after `leave` comes a new client."""
    reader = asyncio.StreamReader(limit=LONGEST)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    client = make()
    async with asyncio.TaskGroup() as group:
        client.spawn = lambda work: _start(group, work)
        while line := await reader.readline():
            command = json.loads(line)
            method = getattr(client, command["do"])
            if command["do"] in WAITING:
                group.create_task(method(command))
            else:
                await method(command)
            if command["do"] == "leave":
                client = make()
                client.spawn = lambda work: _start(group, work)
                tell("left")
        await client.leave({"do": "leave"})


def _start(group: asyncio.TaskGroup, work: Awaitable[None]) -> None:
    async def run() -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # told, so that whoever waits for something else reads why
            tell("problem", message=repr(error))

    group.create_task(run())


def run(make: Callable[[], Client]) -> None:
    asyncio.run(serve(make))
