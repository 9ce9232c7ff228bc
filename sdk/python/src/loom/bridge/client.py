"""A client's end of a session: connects, keeps the session through cuts, and says what is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

from loom_kernel import Clock

from loom.bridge.address import Address
from loom.bridge.carrier import Carrier
from loom.bridge.codec import problem_of
from loom.bridge.errors import BridgeError, Disconnected, ProtocolError, Refused
from loom.bridge.messages import (
    Ack,
    Bye,
    Call,
    Cancel,
    ClientFrame,
    ClientMessage,
    Deliver,
    Failure,
    Hello,
    Publish,
    Report,
    Result,
    ServerFrame,
    Taken,
    Welcome,
)
from loom.bridge.stream import Stream, ranges
from loom.contracts import ToolCall, ToolFailure, ToolResult

log = logging.getLogger("loom.bridge")

FIRST_DELAY = 0.05
LONGEST_DELAY = 2.0
"""Seconds between two attempts to connect: doubled from the first to the longest, with jitter."""
FAREWELL = 2.0
"""Seconds that the server has at the end for what was said before."""
PATIENCE = 10.0
"""Seconds that one attempt may take."""
FATAL = {
    "FAILED_PRECONDITION",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "INVALID_ARGUMENT",
    "ALREADY_EXISTS",
    "ABORTED",
}
"""Refusals that the same hello would meet again."""

Connect = Callable[["Client"], Awaitable[Carrier]]
CallHandler = Callable[[Call], Awaitable[ToolResult]]


class Client:
    """One session, through as many connections as it takes. It is the `Peer` of its carriers."""

    def __init__(
        self, address: Address, connect: Connect, hello: Hello, *, clock: Clock, random: Random
    ) -> None:
        self.address = address
        self.welcome = Welcome(session="", key="", epoch=0, name=hello.agent)
        self.deliver: Callable[[Deliver], None] = _ignore
        """What to do with each event that arrives."""
        self.restore: Callable[[], tuple[list[ClientMessage], set[int]]] = lambda: ([], set())
        """What a new session has to be told first; and the deliveries that come again in it."""
        self.answer_call: CallHandler | None = None
        """What runs this client's own tools."""
        self.spawn: Callable[[Any, str], asyncio.Task[Any]] = _no_tasks
        self.ended = asyncio.Event()
        """Set when the session is over for good."""
        self.returns = False
        """Whether another process goes on where this one ends: the mailbox is kept for it."""
        self.failures = 0
        """How many of the deliveries that are acknowledged next ended in an error."""
        self.reconnects = 0
        self._connect = connect
        self._hello = hello
        self._clock = clock
        self._random = random
        self._stream: Stream[ClientMessage, Any] = Stream()
        self._carrier: Carrier | None = None
        self._is_open = self._is_ended = self._greets = False
        self._opened: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()
        self._room: asyncio.Event | None = None
        self._settled: list[int] = []
        self._taken: dict[int, asyncio.Future[int]] = {}
        self._calls: dict[int, tuple[Call, asyncio.Future[ToolResult]]] = {}
        self._runs: dict[int, asyncio.Task[None]] = {}
        self._refs = 0
        self._heard = self._spoke = 0.0
        self._reason = ""
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Deliver: lambda said: self.deliver(said),  # noqa: PLW0108  # it is set later
            Taken: self._on_taken,
            Result: self._on_result,
            Call: self._on_call,
            Cancel: self._on_cancel,
            Failure: self._on_failure,
        }

    @property
    def reason(self) -> str:
        """Why the last connection, or the session, ended."""
        return self._reason

    # -- saying things -----------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether so much is unsaid that whoever publishes should wait for `room`."""
        return self._stream.is_full

    def send(self, message: ClientMessage) -> None:
        """Say *message* as soon as possible, after a cut too."""
        self._stream.put(message)
        if self._carrier is not None:
            self._carrier.wake()

    async def room(self) -> None:
        """Wait until the server has caught up."""
        while self._stream.is_full:
            if self._is_ended:
                raise Disconnected("UNAVAILABLE", f"the session with {self.address} is over")
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()

    def settle(self, number: int) -> None:
        """Acknowledge a delivery; those of one turn of the loop go together."""
        self._settled.append(number)
        if len(self._settled) == 1 and self._carrier is not None:
            self._carrier.wake()

    def publish_confirmed(self, message: Publish) -> asyncio.Future[int]:
        """Say *message* and promise how many subscriptions take it."""
        promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.send(message)
        number = self._stream.number
        self._taken[number] = promise
        promise.add_done_callback(lambda _: self._taken.pop(number, None))
        return promise

    async def call(self, call: ToolCall, cause: int = 0) -> ToolResult:
        """Run a tool at the other end; always a result."""
        self._refs += 1
        ref = self._refs
        promise: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        message = Call(ref, call, cause)
        if problem := problem_of(call.arguments):
            return ToolResult(call.id, "INVALID_PARAMS", error=ToolFailure(problem))
        self._calls[ref] = message, promise
        self.send(message)
        try:
            return await promise
        except asyncio.CancelledError:
            self.send(Cancel(ref))
            raise
        finally:
            del self._calls[ref]

    # -- Peer --------------------------------------------------------------------------------

    def take(self) -> ClientFrame | None:
        if self._greets:
            self._greets = False
            return ClientFrame(messages=[self._hello])
        if not self._is_open:
            return None
        stream = self._stream
        if self._settled:
            stream.put(Ack(ranges(self._settled), self.failures))
            self._settled = []
            self.failures = 0
        now = self._clock.monotonic()
        is_beat_due = now - self._spoke >= self.welcome.heartbeat * 0.8
        if not (stream.unsent or stream.owes_news or is_beat_due):
            return None
        self._spoke = now
        first, messages = stream.take()
        return ClientFrame(first, stream.seen, messages)

    def received(self, frame: ServerFrame) -> None:
        self._heard = self._clock.monotonic()
        if not self._is_open:
            self._greeted(frame)
            return
        stream = self._stream
        handlers = self._handlers
        for message in stream.accept(frame.first, frame.seen, frame.messages):
            handlers[type(message)](message)
        if self._room is not None and not stream.is_full:
            self._room.set()
            self._room = None
        if stream.owes_news and self._carrier is not None:
            self._carrier.wake()

    def failed(self, error: ProtocolError) -> None:
        self._cut(str(error))

    def lost(self, reason: str) -> None:
        self._cut(reason)

    # -- what the server says ----------------------------------------------------------------

    def _greeted(self, frame: ServerFrame) -> None:
        """The answer to the hello."""
        for message in frame.messages:
            if isinstance(message, Welcome):
                self._begin(message)
            elif isinstance(message, Failure):
                self._refuse(message)

    def _begin(self, welcome: Welcome) -> None:
        stream = self._stream
        if welcome.resumed:
            stream.rewind(welcome.seen)
        else:
            self._start_anew()
        self.welcome = welcome
        if self._carrier is not None:
            self._carrier.limit = welcome.max_frame
        self._is_open = True
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)
        if self._carrier is not None:
            self._carrier.wake()

    def _start_anew(self) -> None:
        """What the old session did not hear is said to the new one; what it heard may be lost."""
        first, again = self.restore()
        left = [one for one in self._stream.drain() if getattr(one, "cause", 0) not in again]
        self._settled.clear()
        for run in self._runs.values():
            run.cancel()
        unheard = {message.ref for message in left if isinstance(message, Call)}
        for ref, (asked, promise) in list(self._calls.items()):
            if ref not in unheard and not promise.done():
                promise.set_result(_unknown(asked.call))
        for message in first:
            self._stream.put(message)
        for message in left:
            if isinstance(message, Publish | Call):
                message.cause = 0  # it names a delivery of the old session
            if isinstance(message, Publish | Call | Report):
                self._stream.put(message)
        self._taken.clear()

    def _refuse(self, failure: Failure) -> None:
        refused = Refused(failure.code, failure.message)
        self._reason = str(refused)
        if failure.code == "NOT_FOUND":  # the session to resume is gone: begin a new one
            self._forget_session()
        elif failure.code in FATAL:
            self._is_ended = True
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(refused)
        self._lost.set()

    def _forget_session(self) -> None:
        self._hello.session = self._hello.key = ""
        self._hello.seen = 0

    def _on_taken(self, message: Taken) -> None:
        promise = self._taken.get(message.about)
        if promise is not None and not promise.done():
            promise.set_result(message.count)

    def _on_result(self, message: Result) -> None:
        known = self._calls.get(message.ref)
        if known is not None and not known[1].done():
            known[1].set_result(message.result)

    def _on_call(self, message: Call) -> None:
        if self.answer_call is None:
            missing = ToolFailure("this client offers no tools")
            result = ToolResult(message.call.id, "CAPABILITY_ERROR", error=missing)
            self.send(Result(message.ref, result))
            return
        task = self.spawn(self._run(message, self.answer_call), f"call/{message.call.name}")
        self._runs[message.ref] = task
        task.add_done_callback(lambda _: self._runs.pop(message.ref, None))

    async def _run(self, message: Call, answer: CallHandler) -> None:
        self.send(Result(message.ref, await answer(message)))

    def _on_cancel(self, message: Cancel) -> None:
        if run := self._runs.get(message.ref):
            run.cancel()

    def _on_failure(self, failure: Failure) -> None:
        if failure.fatal:
            self._cut(f"{failure.code}: {failure.message}")
            self._is_ended = failure.code in FATAL
            return
        promise = self._taken.get(failure.about)
        if promise is not None and not promise.done():
            promise.set_exception(Refused(failure.code, failure.message))
        log.error("%s refused: %s (%s)", self.address, failure.message, failure.code)

    # -- the connection ----------------------------------------------------------------------

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            Refused: the server does not want us.
            Disconnected: there is no server, or it does not answer.
        """
        try:
            await self._attempt()
        except BaseException:
            self._end()
            raise

    async def keep(self) -> None:
        """Hold the session until `aclose`: heartbeats, and a new connection after each cut."""
        delay, stream = 0.0, self._stream
        while not self._is_ended:
            seen = stream.seen
            await self._watch()
            if self._is_ended:
                break
            log.warning("the connection to %s is lost: %s", self.address, self._reason)
            delay = min(delay * 2 or FIRST_DELAY, LONGEST_DELAY) if stream.seen == seen else 0.0
            await self._clock.sleep(delay * self._random.uniform(0.5, 1.0))
            await self._reconnect()
        self._end()
        if self._reason:
            log.error("the session with %s is over: %s", self.address, self._reason)

    async def aclose(self) -> None:
        """End; unless somebody else goes on, say goodbye."""
        carrier, is_open = self._carrier, self._is_open
        if carrier is not None and is_open:
            await self._see_through()
        self._is_ended = True
        if carrier is not None and is_open:
            if not self.returns:
                self.send(Bye())
            carrier.close()
        elif carrier is not None:
            carrier.abort()
        self._reason = ""
        self._lost.set()
        if carrier is not None:
            await carrier.wait_closed()

    async def _see_through(self) -> None:
        """Let the server do what was said so far, for as long as a farewell may take."""
        last = Publish(f"$inbox.{self.welcome.session}.0", b"null", confirm=True)
        with suppress(TimeoutError, BridgeError):
            async with asyncio.timeout(FAREWELL):
                await self.publish_confirmed(last)

    async def _attempt(self) -> None:
        """One try: a connection, a hello, a welcome."""
        self._lost.clear()
        self._greets, self._is_open = True, False
        self._opened = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE):
                self._carrier = await self._connect(self)
                self._carrier.wake()
                await self._opened
        except TimeoutError:
            self._cut("no answer")
            raise Disconnected(
                "DEADLINE_EXCEEDED", f"{self.address} did not answer in {PATIENCE:g} s"
            ) from None
        except OSError as error:
            raise Disconnected(
                "UNAVAILABLE",
                f"nobody listens on {self.address} ({error.strerror or error}); "
                "is Loom running there, with the plugin `bridge`?",
            ) from error
        self._hello.session, self._hello.key = self.welcome.session, self.welcome.key

    async def _watch(self) -> None:
        """Return when the connection is gone; meanwhile let the server hear of us."""
        beat = self.welcome.heartbeat
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(beat):
                    await self._lost.wait()
            except TimeoutError:
                silence = self._clock.monotonic() - self._heard
                if silence > self.welcome.lease:
                    self._cut(f"nothing heard for {silence:.0f} s")
                elif self._carrier is not None:
                    self._carrier.wake()

    async def _reconnect(self) -> None:
        """Try until there is a connection."""
        delay = FIRST_DELAY
        while not self._is_ended:
            self._hello.seen = self._stream.seen
            try:
                await self._attempt()
            except BridgeError as error:
                self._reason = str(error)
                await self._clock.sleep(delay * self._random.uniform(0.5, 1.0))
                delay = min(delay * 2, LONGEST_DELAY)
            else:
                self.reconnects += 1
                return

    def _cut(self, reason: str) -> None:
        """The connection is no good any more."""
        carrier, self._carrier = self._carrier, None
        self._is_open = False
        if not self._is_ended:  # then it is known better why
            self._reason = reason
        if carrier is not None:
            carrier.abort()
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(Disconnected("UNAVAILABLE", f"{self.address}: {reason}"))
        self._lost.set()

    def _end(self) -> None:
        """Nothing will be answered any more."""
        self._is_ended = True
        self.ended.set()
        for _, promise in self._calls.values():
            if not promise.done():
                promise.set_result(_unknown(ToolCall("")))
        for taken in list(self._taken.values()):
            taken.cancel()
        if self._room is not None:
            self._room.set()


def _unknown(call: ToolCall) -> ToolResult:
    cut = ToolFailure("the connection was lost before the outcome was known")
    return ToolResult(call.id, "OUTCOME_UNKNOWN", error=cut)


def _ignore(message: Deliver) -> None:
    """Nobody subscribed."""


def _no_tasks(work: Any, name: str) -> asyncio.Task[Any]:
    raise RuntimeError("a client without a host runs no tasks")
