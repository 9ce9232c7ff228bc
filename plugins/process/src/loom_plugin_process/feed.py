"""The events that a plugin receives, one at a time, and those that it publishes because of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
from loom.plugin import Emission, wire
from loom.plugin.wire import pb
from loom_kernel import Envelope, EnvelopeFields, Host, LoomError, Subscription, matches

from loom_plugin_process.answers import Refusal
from loom_plugin_process.failures import reason_of
from loom_plugin_process.line import Line
from loom_plugin_process.pace import Pace
from loom_plugin_process.program import Program

REPLIES = ("$inbox.*", "thread.*.reply", "agent.*.replies")
"""Where an answer needs no grant, if the event wants it there: only who asked listens."""
CAPACITY = 1000
"""Events that may wait for a plugin, also while it is started again; then the oldest are lost."""


class Feed:
    """Delivers under the name of *host*. Events wait while there is no line.

    *refuse* hears of emissions outside of the grants; they are not published.
    """

    def __init__(
        self,
        host: Host,
        program: Program,
        pace: Pace,
        refuse: Callable[[Refusal], None],
        on_unfinished: Callable[[Line, str], None],
    ) -> None:
        self.handled = self.failed = self.published = 0
        self._host = host
        self._program = program
        self._refuse = refuse
        self._on_unfinished = on_unfinished
        self._patterns: tuple[str, ...] = ()
        self._subscription: Subscription | None = None
        self._line: Line | None = None
        self._is_open = asyncio.Event()
        self._pace = pace

    def open(self, line: Line, patterns: tuple[str, ...]) -> None:
        """Deliver events of *patterns* over *line*."""
        if patterns != self._patterns:
            if self._subscription is not None:
                self._subscription.close()
            self._patterns, self._subscription = patterns, None
        if patterns and self._subscription is None:
            self._subscription = self._host.on(
                *patterns, handler=self._deliver, name=f"{self._host.name}:events",
                overflow="drop-oldest", capacity=CAPACITY,
            )  # fmt: skip
        self._line = line
        self._is_open.set()

    def pause(self) -> None:
        """Let events wait: the plugin is down."""
        self._line = None
        self._is_open.clear()

    def close(self) -> None:
        """Receive nothing any more; what waits is dropped."""
        self.pause()
        if self._subscription is not None:
            self._subscription.close()
        self._patterns, self._subscription = (), None

    async def _deliver(self, event: Envelope) -> None:
        while (line := self._line) is None:
            await self._is_open.wait()
        request = pb.HandleEventRequest()
        wire.write_event(event, request.event)
        if request.ByteSize() > line.frame:
            self._failed(event, f"it is longer than the {line.frame} bytes of a message")
            return
        try:
            response = await line.handle(request, self._program.timeout)
        except grpc.aio.AioRpcError as error:
            self._failed(event, reason_of(error))
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._on_unfinished(line, event.id)
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._failed(event, "its process ended")
            return
        self.handled += 1
        await self._publish_all(event, response)

    def _failed(self, event: Envelope, why: str) -> None:
        self.failed += 1
        self._host.log.error("an event on %s was not handled: %s", event.topic, why)

    # -- what it publishes -------------------------------------------------------------------

    async def _publish_all(self, event: Envelope, response: pb.HandleEventResponse) -> None:
        for emitted in response.events:
            await self._pace.wait()
            try:
                emission = wire.read_emission(emitted)
                await self._publish(event, emission)
            except (ValueError, LoomError) as error:
                self._host.log.error("it cannot publish on %.80r: %s", emitted.topic, error)

    async def _publish(self, event: Envelope, emission: Emission) -> None:
        fields: EnvelopeFields = {
            "subject": emission.subject, "metadata": dict(emission.metadata),
            "tags": emission.tags, "priority": emission.priority,
            "confidence": emission.confidence,
        }  # fmt: skip
        if emission.topic == event.reply_to and _is_private(emission.topic):
            await self._host.reply(event, emission.data, emission.type, **fields)
        elif self._may_publish(emission.topic):
            await self._host.publish(emission.topic, emission.data, emission.type, **fields)
        else:
            reason = "it is not within what it may publish to"
            self._refuse(Refusal("publish", emission.topic[:200], reason))
            return
        self.published += 1

    def _may_publish(self, topic: str) -> bool:
        granted = self._program.publish
        return not topic.startswith("$") and any(matches(pattern, topic) for pattern in granted)


def _is_private(topic: str) -> bool:
    """Whether *topic* is a place for replies; any other could be somebody's command."""
    return any(matches(pattern, topic) for pattern in REPLIES)
