"""What the tests of the gRPC carriers share: real listeners and both ends of a line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom.bridge import Address, Carrier, ProtocolError
from loom.bridge.carriers.grpc import (
    ClientCarrier,
    connect,
)
from loom.bridge.messages import (
    ClientFrame,
    Failure,
    Hello,
    ServerFrame,
    Welcome,
)
from loom_kernel import Envelope, Host
from loom_kernel.testing import wait_until
from loom_plugin_bridge.carriers.grpc import GrpcListener, GrpcSettings

MAX_FRAME = 200_000
WELCOME = ServerFrame(messages=[Welcome("s", "k", 1, "planner")])


class Speaker:
    """A `Peer` that says what is put into it and keeps what it hears."""

    def __init__(self) -> None:
        self.carrier: Carrier | None = None
        self.heard: list[Any] = []
        self.reasons: list[str] = []
        self.errors: list[ProtocolError] = []
        self.frames: deque[Any] = deque()
        self.on_frame: Callable[[Any], None] = self.heard.append

    def say(self, frame: Any) -> None:
        self.frames.append(frame)
        if self.carrier is not None:
            self.carrier.wake()

    def received(self, frame: Any) -> None:
        self.on_frame(frame)

    def failed(self, error: ProtocolError) -> None:
        self.errors.append(error)
        failure = Failure(error.code, error.message, fatal=True, details={"by": "speaker"})
        self.frames.append(ServerFrame(messages=[failure]))

    def take(self) -> Any:
        return self.frames.popleft() if self.frames else None

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)


class Doorman:
    """Answers every connection with a `Speaker` that welcomes whoever says hello."""

    def __init__(self) -> None:
        self.speakers: list[Speaker] = []
        self.tokens: list[str] = []
        self.origins: list[str] = []
        self.patience = 0.2
        self.words = [WELCOME]
        """What is said to a hello; a fatal failure is the end."""

    def answer(self, carrier: Carrier, origin: str, token: str = "") -> Speaker:
        speaker = Speaker()
        speaker.carrier = carrier
        self.speakers.append(speaker)
        self.tokens.append(token)
        self.origins.append(origin)
        timer = asyncio.get_running_loop().call_later(self.patience, self._too_late, speaker)

        def first(said: ClientFrame) -> None:
            timer.cancel()
            speaker.heard.append(said)
            if not (said.messages and isinstance(said.messages[0], Hello)):
                raise ProtocolError("INVALID_ARGUMENT", "the first frame holds one hello")
            speaker.on_frame = speaker.heard.append
            carrier.limit = MAX_FRAME
            for frame in self.words:
                speaker.say(frame)
                if isinstance(frame.messages[-1], Failure):
                    carrier.close()

        speaker.on_frame = first
        return speaker

    def _too_late(self, speaker: Speaker) -> None:
        speaker.failed(ProtocolError("DEADLINE_EXCEEDED", "no hello"))
        if speaker.carrier is not None:
            speaker.carrier.close()


class Site:
    """A listener, its doorman, and where it can be reached."""

    def __init__(self, host: Host, folder: Path, **settings: Any) -> None:
        self.path = folder / "grpc.sock"
        self.doorman = Doorman()
        defaults: dict[str, Any] = {"path": self.path, "max_frame": MAX_FRAME}
        chosen = GrpcSettings(**(defaults | settings))
        self.listener = GrpcListener(host, self.doorman, chosen)

    @property
    def target(self) -> str:
        return f"unix:{self.path}"

    async def dial(self, token: str = "", where: Address | None = None) -> tuple[Speaker, Any]:
        """A client that has said hello and was welcomed."""
        speaker = Speaker()
        where = where or Address("grpc+unix", path=str(self.path))
        carrier = await connect(where, speaker, token=token)
        speaker.carrier = carrier
        speaker.say(ClientFrame(messages=[Hello("secret", "planner")]))
        await wait_until(lambda: speaker.heard == [WELCOME])
        return speaker, carrier


@asynccontextmanager
async def opened(site: Site) -> AsyncIterator[Site]:
    await site.listener.start()
    try:
        yield site
    finally:
        await site.listener.aclose()


async def end(carrier: ClientCarrier) -> None:
    carrier.abort()
    await carrier.wait_closed()


def event(size: int, number: int = 1) -> Envelope:
    text = b'"' + b"x" * size + b'"'
    return Envelope("t", "loom://here/me", 1.5, "t", _payload=text, number=number)


# -- sessions ---------------------------------------------------------------------------------
