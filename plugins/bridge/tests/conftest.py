from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from loom.bridge import bridge_folder, connect
from loom.contracts import AgentRecord, Agents
from loom_kernel import Envelope, Host, Runtime
from loom_kernel.testing import EventRecorder, running, wait_until

from plugins.bridge.tests.cutter import Cutter
from plugins.bridge.tests.raw import RawClient

SCHEMES = {"frames": "unix", "grpc": "grpc+unix", "websocket": "ws+unix"}
"""By carrier, which is also the name of its socket."""
QUICK = {"heartbeat": 0.2, "lease": 0.8, "retention": 5.0, "handshake": 0.5}


class Site:
    """A runtime with a bridge, its directory, and clients that come and go."""

    def __init__(
        self, runtime: Runtime, stack: AsyncExitStack, home: Path, carrier: str = "frames"
    ) -> None:
        self.runtime = runtime
        self.host: Host = runtime.host("outside")
        self.folder = bridge_folder(self.host.world.paths)
        self.scheme = SCHEMES[carrier]
        self.socket = self.folder / f"{carrier}.sock"
        self.address = f"{self.scheme}://{self.socket}"
        self.events = EventRecorder(runtime.host("witness"), ">")
        self._stack = stack
        self._home = home
        self._cutters = 0

    async def join(self, agent: str = "", **options: Any) -> Host:
        """A client that stays to the end of the test."""
        options.setdefault("address", self.address)
        options.setdefault("token", self.token)
        return await self._stack.enter_async_context(connect(agent=agent, **options))

    async def cutter(self) -> Cutter:
        self._cutters += 1
        cutter = Cutter(self._home / f"cut{self._cutters}", self.socket, self.scheme)
        await cutter.start()
        self._stack.push_async_callback(cutter.aclose)
        return cutter

    def raw(self) -> RawClient:
        """A client that says what it is told to."""
        client = RawClient(self.folder / "frames.sock", self.token)
        self._stack.callback(client.cut)
        return client

    @property
    def token(self) -> str:
        return (self.folder / "local.token").read_text().strip()

    async def told(self, topic: str, count: int = 1) -> Envelope:
        """The event on *topic*, or the last of so many."""
        return (await self.events.wait_for(topic, count=count))[-1]

    def record(self, id: str) -> AgentRecord:
        (found,) = self.host.require(Agents).find(id=id)
        return found

    def subscriptions(self) -> int:
        return len(self.runtime.status()["subscriptions"])


@pytest.fixture
def carrier() -> str:
    """What the clients of a site come by; a module or a test may ask for others."""
    return "frames"


@pytest.fixture
def retention() -> float:
    """Seconds for which a site keeps what belongs to a client that is gone."""
    return QUICK["retention"]


@pytest.fixture
async def site(home: Path, carrier: str, retention: float) -> AsyncIterator[Site]:
    settings = {"plugins": {"bridge": QUICK | {"retention": retention}}}
    async with (
        running("agents", "tools", "bridge", config=settings) as runtime,
        AsyncExitStack() as stack,
    ):
        found = Site(runtime, stack, home, carrier)
        await wait_until(found.socket.exists)  # gRPC begins when the runtime is ready
        yield found
