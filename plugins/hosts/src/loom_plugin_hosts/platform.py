"""An adapter at work: its sources publish, its sinks act on `action.<sink>`."""

from __future__ import annotations

from contextlib import aclosing

from loom.contracts import ActionSink, EventSource, HostAdapter
from loom_kernel import Envelope, Health, Host, check_topic


class Platform:
    """Runs one adapter. A source or sink that fails leaves the others at work."""

    def __init__(self, host: Host, adapter: HostAdapter) -> None:
        self._host = host
        self._adapter = adapter
        self._counts = {"sensed": 0, "acted": 0, "failed": 0}

    def start(self) -> None:
        """Begin to sense and to act.

        Raises:
            InvalidTopic: a source or sink has a name that is no topic token.
        """
        for source in self._adapter.sources():
            check_topic(f"host.{source.name}")
            self._host.spawn(self._sense(source), f"source/{source.name}")
        for sink in self._adapter.sinks():
            self._listen(sink)

    def health(self) -> Health:
        """Which adapter, and what it did."""
        counts = {name: float(count) for name, count in self._counts.items()}
        return Health(message=f"adapter {self._adapter.name}", metrics=counts)

    async def _sense(self, source: EventSource) -> None:
        events = source.events()
        async with aclosing(events) as stream:  # type: ignore[type-var]  # generators can be closed
            async for kind, data in stream:
                self._counts["sensed"] += 1
                await self._host.publish(f"host.{source.name}.{kind}", data)

    def _listen(self, sink: ActionSink) -> None:
        async def act(envelope: Envelope) -> None:
            await self._act(sink, envelope)

        topic = check_topic(f"action.{sink.name}")
        self._host.on(topic, handler=act, name=f"sink:{sink.name}")

    async def _act(self, sink: ActionSink, envelope: Envelope) -> None:
        """Act, tell how it went, and answer whoever asked."""
        try:
            outcome = {"code": "ACTION_OK", **await sink.act(envelope.data)}
            state = "completed"
            self._counts["acted"] += 1
        except ValueError as error:
            outcome, state = {"code": "INVALID_PARAMS", "message": str(error)}, "failed"
            self._counts["failed"] += 1
        await self._host.publish(f"action.{sink.name}.{state}", outcome, subject=envelope.id)
        await self._host.reply(envelope, outcome)
