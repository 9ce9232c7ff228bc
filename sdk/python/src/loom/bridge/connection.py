"""`connect`: a host on a runtime that runs in another process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random

from loom_kernel import Clock, Host, LoomError, RealClock, World, find_paths

from loom.bridge.address import Address, find_token, parse_address
from loom.bridge.bus import RemoteBus
from loom.bridge.carrier import Carrier
from loom.bridge.client import Client
from loom.bridge.errors import Disconnected
from loom.bridge.messages import Hello
from loom.contracts import Journal, RemoteTools

LONGEST_FRAME = 4 << 20


@asynccontextmanager
async def connect(
    address: str = "",
    *,
    token: str = "",
    agent: str = "",
    metadata: Mapping[str, str] | None = None,
    returns: bool = False,
    clock: Clock | None = None,
) -> AsyncIterator[Host]:
    """A host of the Loom at *address* (see `loom.bridge.address`), under the id *agent*.

    Without *agent* it is a client that publishes and subscribes under its token's name. The
    connection is made again after a cut, and nothing that was sent or to be received is lost
    while the process lives. `host.world.stop_requested` is set when the server has ended the
    session for good (another process took over, the token was revoked). With *returns* the
    agent's mailbox waits at the end for the next process of that id, as after a crash.

    Raises:
        Refused: the server does not let this token, or this id, in.
        Disconnected: nobody answers there.
    """
    where = parse_address(address)
    if _is_missing(where):
        raise Disconnected(
            "UNAVAILABLE",
            f"nobody listens on {where}; start a Loom with `loom up`, or run this in the folder of "
            "the app whose Loom it is",
        )
    found = find_token(where, token)
    if not found:
        raise LoomError(
            f"no token for {where}: make one there with `loom token create NAME`, and give it as "
            "token=…, in LOOM_TOKEN or in a file that LOOM_TOKEN_FILE names"
        )
    software = f"loom-python/{version('loom-sdk')}"
    hello = Hello(found, agent, software=software, metadata=dict(metadata or {}))
    time = clock or RealClock()
    client = Client(where, partial(_dial, where, found), hello, clock=time, random=Random())
    client.returns = returns
    bus = RemoteBus(client, time)
    await client.open()
    world = World(
        bus,
        time,
        find_paths(),
        Random(),
        status=lambda: {"address": str(where), "reason": client.reason},
        stop_requested=client.ended,
    )
    host = Host(world, client.welcome.name)
    host.provide(RemoteTools, bus)
    if client.welcome.keeps:
        host.provide(Journal, bus)
    client.spawn = host.spawn
    host.spawn(client.keep(), "bridge")
    try:
        yield host
    finally:
        await host.aclose()
        await client.aclose()


def _is_missing(where: Address) -> bool:
    return where.is_local and not Path(where.path).exists()


async def _dial(where: Address, token: str, client: Client) -> Carrier:
    if where.scheme == "unix":
        from loom.bridge.carriers import frames

        return await frames.connect(Path(where.path), client, limit=LONGEST_FRAME)
    if where.scheme.startswith("grpc"):
        from loom.bridge.carriers import grpc

        return await grpc.connect(where, client, token=token)
    from loom.bridge.carriers import websocket

    return await websocket.connect(where, client)
