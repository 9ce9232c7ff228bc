"""The door: what a connection is before its client has said, and proved, who it is."""

from __future__ import annotations

import asyncio
from collections import deque

from loom.bridge import BridgeError, Carrier, ProtocolError, Refused, messages
from loom_kernel import Host, LoomError

from loom_plugin_bridge.access import Grant
from loom_plugin_bridge.session import LONGEST, Session
from loom_plugin_bridge.sessions import Sessions
from loom_plugin_bridge.tokens import Tokens

WAITING = 256
"""Connections that may be without a session at once."""
WRONG = 10
"""Wrong tokens a minute from one origin that are answered as such; more are told to slow down."""
MINUTE = 60.0
ORIGINS = 1024
"""Origins whose wrong tokens are counted."""


class Door:
    """Lets clients in: each has *patience* seconds to say hello."""

    def __init__(self, host: Host, sessions: Sessions, tokens: Tokens, *, patience: float) -> None:
        self.host = host
        self.sessions = sessions
        self.patience = patience
        self._tokens = tokens
        self._waiting: set[Visitor] = set()
        self._wrong: dict[str, deque[float]] = {}

    def answer(self, carrier: Carrier, origin: str, token: str = "") -> Visitor:
        """Who stands at this end of a new connection; *token* is one that came with headers."""
        visitor = Visitor(self, carrier, origin, token)
        if len(self._waiting) >= WAITING:
            full = Refused("RESOURCE_EXHAUSTED", "too many connections wait to be let in")
            # Later: a carrier learns only from our answer whose words it has to write.
            asyncio.get_running_loop().call_soon(visitor.refuse, full)
        else:
            self._waiting.add(visitor)
            visitor.start()
        return visitor

    def admitted(self, visitor: Visitor) -> None:
        """*visitor* waits no longer."""
        self._waiting.discard(visitor)

    def authenticate(self, token: str, origin: str) -> Grant:
        """Who holds *token*.

        Raises:
            Refused: nobody does, or *origin* guesses.
        """
        try:
            return self._tokens.find(token)
        except Refused:
            self.sessions.counts["refused"] += 1
            if self._guesses(origin):
                raise Refused(
                    "RESOURCE_EXHAUSTED", "too many wrong tokens from here; wait a minute"
                ) from None
            raise

    def _guesses(self, origin: str) -> bool:
        """Count one more wrong token from *origin*; whether there were too many."""
        now = self.host.clock.monotonic()
        wrong = self._wrong.setdefault(origin, deque(maxlen=WRONG + 1))
        wrong.append(now)
        if len(self._wrong) > ORIGINS:
            del self._wrong[next(iter(self._wrong))]
        return len(wrong) > WRONG and now - wrong[0] < MINUTE


class Visitor:
    """The `Peer` of a connection: waits for the hello, then passes everything to the session."""

    def __init__(self, door: Door, carrier: Carrier, origin: str, token: str) -> None:
        self._door = door
        self._carrier = carrier
        self._origin = origin
        self._token = token
        self._session: Session | None = None
        self._farewell: messages.ServerFrame | None = None
        self._entering: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Let the time run in which the hello has to come."""
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(self._door.patience, self._too_late)

    def refuse(self, error: BridgeError) -> None:
        """Say no, and why."""
        self._leave()
        failure = messages.Failure(error.code, error.message[:LONGEST], fatal=True)
        self._farewell = messages.ServerFrame(messages=[failure])
        self._carrier.close()

    # -- Peer --------------------------------------------------------------------------------

    def received(self, frame: messages.ClientFrame) -> None:
        if self._session is not None:
            if self._session.carrier is self._carrier:
                self._session.received(frame)
            return
        if self._farewell is not None:
            return
        match frame.messages:
            case [messages.Hello() as hello] if self._entering is None:
                self._carrier.pause()
                self._entering = self._door.host.spawn(self._enter(hello), "hello")
            case _:
                raise ProtocolError(
                    "INVALID_ARGUMENT", "the first frame holds one hello, and nothing else"
                )

    def failed(self, error: ProtocolError) -> None:
        if self._session is not None:
            self._session.failed(error)
        else:
            self.refuse(error)

    def take(self) -> messages.ServerFrame | None:
        if self._farewell is not None:
            farewell, self._farewell = self._farewell, None
            return farewell
        return self._session.take() if self._session is not None else None

    def lost(self, reason: str) -> None:
        self._leave()
        if self._session is not None and self._session.carrier is self._carrier:
            self._session.lost(reason)

    # -- letting in --------------------------------------------------------------------------

    async def _enter(self, hello: messages.Hello) -> None:
        try:
            grant = self._door.authenticate(hello.token or self._token, self._origin)
            self._session = await self._door.sessions.open(grant, hello, self._carrier)
        except BridgeError as error:
            self.refuse(error)
        except LoomError as error:
            self.refuse(Refused("INVALID_ARGUMENT", str(error)))
        else:
            self._leave()
            self._carrier.wake()
            self._carrier.resume()

    def _leave(self) -> None:
        self._door.admitted(self)
        if self._patience is not None:
            self._patience.cancel()

    def _too_late(self) -> None:
        self.refuse(
            ProtocolError(
                "DEADLINE_EXCEEDED",
                f"no hello within {self._door.patience:g} s; the first frame must hold one",
            )
        )
