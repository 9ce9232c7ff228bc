"""A session at the server: what one client said and was told, through all its connections.

Everything here runs on one event loop and nothing waits; what must wait is a task of the host.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from loom.bridge import Carrier, ProtocolError, Stream, messages
from loom.contracts import Journal
from loom_kernel import Envelope, Host, LoomError

from loom_plugin_bridge.access import Grant, Scope
from loom_plugin_bridge.calls import Calls
from loom_plugin_bridge.causes import Causes
from loom_plugin_bridge.feed import Outlet
from loom_plugin_bridge.feeds import Feeds, OpenMailbox
from loom_plugin_bridge.offers import Offers, problem_of_offer
from loom_plugin_bridge.publishing import Publisher

if TYPE_CHECKING:
    from loom_plugin_bridge.resident import Resident

MOMENT = 0.005
"""Seconds that what is only mentioned may wait for something to go with."""
LONGEST = 2000
"""Characters of each detail of a client's report that are passed on, and of what it is told."""


class Session:
    """One client's session. *host* publishes and subscribes in its name, and ends with it.

    *agent* is the id, as the client knows it, that it speaks for.
    """

    def __init__(
        self,
        host: Host,
        grant: Grant,
        scope: Scope,
        *,
        epoch: int,
        agent: str = "",
        open_mailbox: OpenMailbox | None = None,
    ) -> None:
        self.id = secrets.token_hex(8)
        self.key = secrets.token_hex(16)
        self.host = host
        self.grant = grant
        self.epoch = epoch
        self.resident: Resident | None = None
        """The agent it speaks for, if it speaks for one."""
        self.carrier: Carrier | None = None
        self.heartbeat = 5.0
        self.heard = self.left = host.clock.monotonic()
        """When the last frame came, and when the last connection was lost."""
        self.handled = 0
        self.failures = 0
        self.is_over = self.has_said_goodbye = False
        self.journal: Journal | None = None
        """Keeps what the agent knows, if there is one."""
        self.on_end: Callable[[Session], None] = _nobody
        self.on_lost: Callable[[Session, str], None] = _nobody
        self.on_heard: Callable[[], None] = _nothing
        self._stream: Stream[messages.ServerMessage, messages.ClientMessage] = Stream()
        self._greeting: messages.ServerFrame | None = None
        self._spoke = 0.0
        self._number = 0
        self._allowance, self._refilled = grant.rate, self.heard
        self._is_resting = self._is_mentioning = False
        self.outlet = Outlet(self._stream.put, self.wake, self._is_full, scope)
        rights = grant.of_agent(agent) if agent else grant
        self._causes = Causes(self.outlet)
        self._feeds = Feeds(self, host, rights, scope, self.outlet, self._causes, open_mailbox)
        self._publisher = Publisher(self, host, rights, scope, self._causes)
        self._calls = Calls(self, host, grant, scope, self._causes.learn)
        self._offers = Offers(host, scope, self.say, self._causes)
        if grant.is_confined:
            self.outlet.watch = self._publisher.delivered
        self._handlers = self._by_message()
        self._publisher.inbox = f"$inbox.{self.id}."
        self._feeds.open_inbox(f"$inbox.{self.id}.>")

    def _by_message(self) -> dict[type[Any], Callable[[Any], None]]:
        return {
            messages.Ack: lambda said: self._publisher.after(partial(self._acknowledge, said)),
            messages.Settle: lambda said: self._publisher.after(partial(self._settle, said)),
            messages.Subscribe: lambda said: self._feeds.subscribe(self._number, said),
            messages.Unsubscribe: self._feeds.unsubscribe,
            messages.Offer: self._offer,
            messages.Call: lambda said: self._calls.start(said, self._causes.find(said.cause)),
            messages.Result: lambda said: self._offers.answer(said.ref, said.result),
            messages.Cancel: lambda said: self._calls.cancel(said.ref),
            messages.Report: self._report,
            messages.Bye: lambda said: self._leave(),
            messages.Hello: self._hello,
        }

    # -- connections -------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self.carrier is not None

    @property
    def is_kept_waiting(self) -> bool:
        """Whether nothing is read of it for now, so that it cannot be heard."""
        return self._is_resting or self._publisher.is_behind

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of what it offers."""
        return self._offers.names

    def attach(self, carrier: Carrier, welcome: messages.Welcome, seen: int | None) -> None:
        """Go on over *carrier*; *seen* = how much the client has of a resumed session.

        Raises:
            ProtocolError: it says that it saw what was never sent.
        """
        if seen is not None:
            self._stream.rewind(seen)
        if self.carrier is not None:
            self.carrier.abort()
        welcome.session, welcome.key, welcome.epoch = self.id, self.key, self.epoch
        welcome.seen, welcome.resumed = self._stream.seen, seen is not None
        self.carrier = carrier
        self.heartbeat = welcome.heartbeat
        self._publisher.max_payload = welcome.max_payload
        self.outlet.longest = welcome.max_frame // 2  # as text, octets take a third more
        self._greeting = messages.ServerFrame(messages=[welcome])
        self.heard = self.host.clock.monotonic()
        carrier.limit = welcome.max_frame
        self._let_feeds_go_on()
        self.wake()

    def detach(self, reason: str) -> None:
        """The connection is lost; the session waits for the next one."""
        carrier = self._let_go(reason)
        if carrier is not None:
            carrier.abort()

    def close(self, code: messages.FailureCode, reason: str) -> None:
        """Tell the client why, and end the connection; the session itself is ended by its owner."""
        carrier = self._let_go(reason)
        if carrier is not None:
            failure = messages.Failure(code, reason, fatal=True)
            self._greeting = messages.ServerFrame(seen=self._stream.seen, messages=[failure])
            carrier.close()

    def _let_go(self, reason: str) -> Carrier | None:
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            self.left = self.host.clock.monotonic()
            self._greeting = None
            if not self.is_over:
                self.on_lost(self, reason)
        return carrier

    async def aclose(self) -> None:
        """End the session: its subscriptions, its tools, its calls."""
        self.is_over = True
        carrier = self._let_go("the session is over")
        if carrier is not None:
            carrier.close()
        await self._offers.aclose()
        await self.host.aclose()

    def release(self) -> list[Envelope]:
        """The mailbox's deliveries that were not acknowledged, for the session that follows."""
        return [event for feed, event in self.outlet.unsettled.values() if feed.number == 0]

    # -- Peer --------------------------------------------------------------------------------

    def take(self) -> messages.ServerFrame | None:
        if self._greeting is not None:
            greeting, self._greeting = self._greeting, None
            return greeting
        stream, now = self._stream, self.host.clock.monotonic()
        is_due = stream.unsent or stream.owes_news or now - self._spoke >= self.heartbeat * 0.8
        if self.carrier is None or not is_due:
            return None
        self._spoke = now
        first, taken = stream.take()
        self._let_feeds_go_on()
        return messages.ServerFrame(first, stream.seen, taken)

    def received(self, frame: messages.ClientFrame) -> None:
        self.heard = self.host.clock.monotonic()
        self.on_heard()
        stream, handlers = self._stream, self._handlers
        fresh = stream.accept(frame.first, frame.seen, frame.messages)
        self._number = stream.seen - len(fresh)
        publish = self._publisher.publish
        for message in fresh:
            self._number += 1
            try:
                if type(message) is messages.Publish:
                    publish(self._number, message)
                else:
                    handlers[type(message)](message)
            except LoomError as error:
                self.fail("INVALID_ARGUMENT", str(error), self._number)
            except Exception:
                self.host.log.exception("a message of %s could not be handled", self.host.name)
                self.fail("INTERNAL", "the server's log says what went wrong", self._number)
        if self.grant.rate:
            self._spend(len(fresh))
        self._let_feeds_go_on()
        if stream.owes_news:
            self.wake()

    def failed(self, error: ProtocolError) -> None:
        self.close(error.code, error.message)

    def lost(self, reason: str) -> None:
        self.detach(reason)

    # -- the client, for those who work for it -----------------------------------------------

    def wake(self) -> None:
        """There is something to say."""
        if self.carrier is not None:
            self.carrier.wake()

    def say(self, message: messages.ServerMessage) -> None:
        """Say *message* as soon as possible."""
        self._stream.put(message)
        self.wake()

    def mention(self, message: messages.ServerMessage) -> None:
        """Say *message* with whatever is said next, or in a moment."""
        self._stream.put(message)
        if not self._is_mentioning:
            self._is_mentioning = True
            asyncio.get_running_loop().call_later(MOMENT, self._mentioned)

    def _mentioned(self) -> None:
        self._is_mentioning = False
        self.wake()

    def fail(self, code: messages.FailureCode, reason: str, about: int) -> None:
        """Say that the client's message *about* could not be done."""
        self.say(messages.Failure(code, reason[:LONGEST], about))

    def pace(self) -> None:
        """Read on, or not, by how much waits to be published and what the token's rate allows."""
        if self.carrier is None:
            return
        if self.is_kept_waiting:
            self.carrier.pause()
        else:
            self.heard = self.host.clock.monotonic()
            self.carrier.resume()

    def _is_full(self) -> bool:
        """Whether feeds should wait: what is not handed down yet goes to whoever comes next."""
        return self.carrier is None or self._stream.is_full

    def _let_feeds_go_on(self) -> None:
        if not (self.outlet.has_room.is_set() or self._is_full()):
            self.outlet.has_room.set()

    def _spend(self, count: int) -> None:
        """Take in no more than the token's rate: who sends faster is read more slowly."""
        now, rate = self.host.clock.monotonic(), self.grant.rate
        earned = (now - self._refilled) * rate
        self._allowance = min(rate, self._allowance + earned) - count
        self._refilled = now
        if self._allowance < 0 and not self._is_resting:
            self._is_resting = True
            self.pace()
            self.host.spawn(self._rest(-self._allowance / rate), "rate")

    async def _rest(self, seconds: float) -> None:
        await self.host.clock.sleep(seconds)
        self._is_resting = False
        self.pace()

    # -- what the client says ----------------------------------------------------------------

    def _acknowledge(self, message: messages.Ack) -> None:
        self.handled += self._feeds.acknowledge(message)
        self.failures += message.failed

    def _settle(self, message: messages.Settle) -> None:
        self.failures += message.outcome != "done"
        self.handled += self._feeds.conclude(message, self.journal)

    def _offer(self, message: messages.Offer) -> None:
        if problem := problem_of_offer(message.tools):
            self.fail("INVALID_ARGUMENT", problem, self._number)
        else:
            self.host.spawn(self._offers.replace(message.tools), "offer")

    def _leave(self) -> None:
        self.has_said_goodbye = True
        self.on_end(self)

    def _hello(self, message: messages.Hello) -> None:
        self.fail("FAILED_PRECONDITION", "a hello comes first, and only once", self._number)

    def _report(self, message: messages.Report) -> None:
        told = {str(name): str(value)[:LONGEST] for name, value in message.details.items()}
        if message.about == "error":
            self.host.tell_error(told.pop("code", "ACTION_ERROR"), LoomError(), **told)
        else:
            told["sender"] = self.host.name
            self.host.publish_nowait(f"$loom.{message.about}", told)


def _nobody(session: Session, reason: str = "") -> None:
    """Nobody wants to know."""


def _nothing() -> None:
    """Nobody wants to know."""
