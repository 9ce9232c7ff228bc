"""All sessions of a bridge: who is there, who may come back, who is over."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from contextlib import suppress

import msgspec
from loom.bridge import Carrier, Refused, messages
from loom.contracts import Agents, Journal
from loom_kernel import (
    BusClosed,
    Health,
    Host,
    InvalidTopic,
    LoomError,
    ServiceMissing,
    check_topic,
)

from loom_plugin_bridge.access import Grant, Scope
from loom_plugin_bridge.resident import Resident
from loom_plugin_bridge.session import Session
from loom_plugin_bridge.settings import Settings
from loom_plugin_bridge.tokens import Tokens

STOPPING = "this Loom is stopping"
FENCED = 10_000
"""How many sessions that are over are remembered, so that they are told so."""


class Fence(msgspec.Struct, frozen=True):
    """What is remembered of a session that is over, for whoever can prove that it was theirs."""

    key: str
    owner: str
    reason: str


class Sessions:
    """Opens, resumes and ends sessions; one per agent id at a time."""

    def __init__(self, host: Host, tokens: Tokens, settings: Settings) -> None:
        self._host = host
        self._agents = host.require(Agents)
        self._tokens = tokens
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._residents: dict[str, Resident] = {}
        self._entering: set[str] = set()
        self._is_closing = False
        try:
            self._journal: Journal | None = host.require(Journal)
        except ServiceMissing:
            self._journal = None
        self._fenced: OrderedDict[str, Fence] = OrderedDict()
        self.counts = {"opened": 0, "resumed": 0, "refused": 0}

    def health(self) -> Health:
        """How many sessions there are, and what became of the others."""
        connected = sum(session.is_connected for session in self._sessions.values())
        own = {"sessions": len(self._sessions), "connected": connected}
        return Health(metrics={name: float(n) for name, n in {**own, **self.counts}.items()})

    async def open(self, grant: Grant, hello: messages.Hello, carrier: Carrier) -> Session:
        """Resume the session that *hello* names, or open a new one.

        Raises:
            Refused: it may not.
        """
        if self._is_closing:
            raise Refused("UNAVAILABLE", STOPPING)
        if hello.protocol != messages.PROTOCOL:
            raise Refused(
                "FAILED_PRECONDITION",
                f"this Loom speaks version {messages.PROTOCOL} of the protocol, "
                f"the client version {hello.protocol}; update the older of the two",
            )
        if hello.session and (known := self._resumable(grant, hello)) is not None:
            self.counts["resumed"] += 1
            known.attach(carrier, self._welcome(known), hello.seen)
            if known.resident is not None:
                await self._tell(known.resident, "connected", "resumed")
            return known
        session = await self._new(grant, hello)
        self.counts["opened"] += 1
        welcome = self._welcome(session)
        if session.journal is not None:
            welcome.keeps, welcome.state = True, await session.journal.load(session.host.name)
        session.attach(carrier, welcome, None)
        if session.resident is not None:
            await self._tell(session.resident, "connected", "")
        return session

    def _resumable(self, grant: Grant, hello: messages.Hello) -> Session | None:
        known = self._sessions.get(hello.session)
        fence = self._fenced.get(hello.session)
        if fence is None and known is not None and not known.is_over:
            fence = Fence(known.key, known.grant.id, "")
        if fence is None:
            return None
        is_theirs = hmac.compare_digest(hello.key.encode(), fence.key.encode())
        if not is_theirs or fence.owner != grant.id:
            raise Refused("PERMISSION_DENIED", "this session is somebody else's")
        if fence.reason:
            raise Refused("ABORTED", fence.reason)
        return known

    async def _new(self, grant: Grant, hello: messages.Hello) -> Session:
        scope = Scope(grant.namespace)
        if problem := _problem_of_id(hello.agent):
            raise Refused("INVALID_ARGUMENT", f"{hello.agent[:100]!r} is no agent id: {problem}")
        if not hello.agent:
            host = self._host.scope(scope.name(grant.name))
            return self._add(Session(host, grant, scope, epoch=1))
        if not grant.may_act_as(hello.agent):
            raise Refused(
                "PERMISSION_DENIED", f"token {grant.name!r} may not act as agent {hello.agent!r}"
            )
        id = scope.name(hello.agent)
        if id in self._entering:
            raise Refused("ALREADY_EXISTS", f"another process of agent {id!r} is just coming in")
        self._entering.add(id)
        try:
            resident = await self._resident(id, grant)
        finally:
            self._entering.discard(id)
        resident.epoch += 1
        host = self._host.scope(resident.id)
        session = Session(
            host,
            grant,
            scope,
            epoch=resident.epoch,
            agent=hello.agent,
            open_mailbox=resident.open_mailbox,
        )
        session.resident = resident
        session.journal = self._journal
        resident.begin(session, grant.name, hello.metadata)
        return self._add(session)

    def _add(self, session: Session) -> Session:
        session.on_end = self.end
        session.on_lost = self._lost
        self._sessions[session.id] = session
        return session

    async def _resident(self, id: str, grant: Grant) -> Resident:
        """The agent of that id, free for a new session."""
        resident = self._residents.get(id)
        if resident is None:
            host = self._host.scope(id)
            scope = Scope(grant.namespace)
            replies = scope.topic(f"agent.{scope.own_name(id)}.replies")
            resident = Resident(host, id, replies, self._settings.heartbeat, self._dismiss)
            self._residents[id] = resident
            try:
                await self._agents.admit(resident)
            except LoomError as error:
                del self._residents[id]
                await host.aclose()
                raise Refused("ALREADY_EXISTS", str(error)) from error
            return resident
        old = resident.session
        if old is not None:
            if old.grant.name != grant.name:
                raise Refused("ALREADY_EXISTS", f"agent {id!r} is held by another token")
            if old.is_connected:
                raise Refused(
                    "ALREADY_EXISTS", f"agent {id!r} is connected already; stop it, or wait for "
                    f"{self._settings.lease:g} s of silence"
                )  # fmt: skip
            self._fence(old, f"another process has taken over agent {id!r}")
            resident.leave(old)
            await self._close(old)
        return resident

    def _fence(self, session: Session, reason: str) -> None:
        self._fenced[session.id] = Fence(session.key, session.grant.id, reason)
        if len(self._fenced) > FENCED:
            self._fenced.popitem(last=False)

    def _welcome(self, session: Session) -> messages.Welcome:
        settings = self._settings
        return messages.Welcome(
            session="",
            key="",
            epoch=0,
            name=session.host.name,
            heartbeat=settings.heartbeat,
            lease=settings.lease,
            retention=settings.retention,
            max_frame=settings.max_frame,
        )

    # -- the end -----------------------------------------------------------------------------

    def _lost(self, session: Session, reason: str) -> None:
        """Its connection is gone; it may come back."""
        self._host.log.info("the connection of %s is lost: %s", session.host.name, reason)
        if session.resident is not None:
            self._host.spawn(self._tell(session.resident, "disconnected", reason), "tell")

    def end(self, session: Session) -> None:
        """*session* is over for good."""
        if not session.is_over:
            session.is_over = True
            self._host.spawn(self._finish(session), "end")

    async def _finish(self, session: Session) -> None:
        if session.resident is not None:
            await self._dismiss(session.resident.id)
            if self._journal is not None and session.has_said_goodbye:
                self._journal.abandon(session.resident.durable)
        await self._close(session)

    async def _close(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        await session.aclose()

    async def _dismiss(self, id: str) -> None:
        """The agent is forgotten."""
        resident = self._residents.pop(id, None)
        if resident is None:
            return
        session = resident.session
        if session is not None:
            resident.leave(session)
            self._fence(session, f"agent {id!r} was stopped")
            await self._close(session)
        await self._agents.dismiss(id)
        await resident.host.aclose()

    async def watch(self) -> None:
        """Cut connections that are silent, end sessions nobody came back to, obey revocations."""
        interval = min(self._settings.heartbeat / 2, 1.0)
        while True:
            await self._host.clock.sleep(interval)
            now = self._host.clock.monotonic()
            for session in list(self._sessions.values()):
                self._check(session, now)

    def _check(self, session: Session, now: float) -> None:
        settings = self._settings
        if not self._tokens.is_valid(session.grant):
            session.close("UNAUTHENTICATED", f"token {session.grant.name!r} was revoked or expired")
            self._fence(session, "its token was revoked or expired")
            self.end(session)
        elif session.is_connected:
            if now - session.heard > settings.lease and not session.is_kept_waiting:
                session.close("DEADLINE_EXCEEDED", f"nothing was heard for {settings.lease:g} s")
            session.wake()
        elif now - session.left > self._patience(session):
            self._fence(session, "it was away for too long")
            self.end(session)

    def _patience(self, session: Session) -> float:
        """Seconds for which *session* may be without a connection.

        Nobody else comes for what a client that is no agent has waiting, and publishers may have
        to wait for it, so that is given up sooner.
        """
        settings = self._settings
        is_agent = session.resident is not None
        return settings.retention if is_agent else min(settings.retention, settings.lease)

    async def _tell(self, resident: Resident, what: str, reason: str) -> None:
        news = {"id": resident.id, "reason": reason, "origin": resident.origin}
        with suppress(BusClosed):  # the runtime stops: nobody is left to be told
            await self._host.publish(f"agent.{resident.id}.{what}", news)

    async def aclose(self) -> None:
        """Tell every client that the runtime stops."""
        self._is_closing = True
        for session in list(self._sessions.values()):
            session.close("UNAVAILABLE", STOPPING)
        for id in list(self._residents):
            await self._dismiss(id)
        for session in list(self._sessions.values()):
            await self._close(session)


def _problem_of_id(agent: str) -> str:
    """What keeps *agent* from being one token of a topic, and of its own namespace."""
    if "/" in agent:
        return "a slash separates namespaces"
    if "." in agent or agent.startswith("$"):
        return "it has to be one token, and none of the runtime's own"
    try:
        check_topic(f"agent.{agent or 'nobody'}.disconnected")
    except InvalidTopic as error:
        return error.problem
    return ""
