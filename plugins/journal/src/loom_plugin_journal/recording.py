"""Recording: what an agent could not know by itself, kept with the end of each event.

It is what a replay needs: the event, the tools' results, the replies, what the clock said. What
the agent published and knew afterwards is kept too, for a replay to be compared with.
"""

from __future__ import annotations

from typing import Any

import msgspec
from loom.contracts import CalledTool, ToolCall, ToolResult
from loom_kernel import Envelope, Host

from loom_plugin_journal.flight import Flight
from loom_plugin_journal.journal import Journal
from loom_plugin_journal.records import Batch, Store, encode

Raw = msgspec.Raw
SPACE = "run"
INBOX = "$inbox."


class Published(msgspec.Struct, omit_defaults=True):
    """An `Emission`, with what is JSON already."""

    topic: str
    type: str
    data: Raw
    subject: str = ""
    replies: list[Raw] = []


class Written(msgspec.Struct, omit_defaults=True):
    """A `Handling` as it is kept: its event is in the log, and what is JSON stays as it is."""

    number: int
    agent: str
    sequence: int
    """The event's record."""
    began: float
    ended: float
    outcome: str
    error: str
    emitted: list[Published]
    calls: list[CalledTool]
    clock: tuple[float, ...]
    state: Raw = Raw(b"null")


class Trace:
    """What is known of a handling that goes on."""

    __slots__ = ("began", "calls", "clock", "emitted")

    def __init__(self, began: float) -> None:
        self.began = began
        self.emitted: list[tuple[Envelope, list[Envelope]]] = []
        self.calls: list[CalledTool] = []
        self.clock: tuple[float, ...] = ()


class Recorder:
    """Follows the handlings of agents. All of it is in the event loop."""

    def __init__(self, host: Host, journal: Journal, store: Store) -> None:
        self._clock = host.clock
        self._journal = journal
        newest = store.get("meta", "handlings")
        self._number = int(newest or b"0")
        self._lines: list[bytes] = []
        """Handlings that have ended and are not written yet."""
        self._inboxes: dict[str, list[Envelope]] = {}
        """Where replies are awaited that a handling asked for."""
        journal.recorder = self
        host.add_filter(self._watch, order=900)

    def begin(self, flight: Flight) -> None:
        """A handler is given the event."""
        flight.trace = Trace(self._clock.time())

    def _watch(self, envelope: Envelope) -> Envelope:
        """See what handlings publish, and the replies that they get."""
        if envelope.topic.startswith(INBOX):
            if (replies := self._inboxes.get(envelope.topic)) is not None:
                replies.append(envelope)
        elif envelope.causation_id:
            flight = self._journal.flight(envelope.sender, envelope.causation_id)
            if flight is not None and flight.trace is not None:
                replies = []
                flight.trace.emitted.append((envelope, replies))
                if envelope.reply_to.startswith(INBOX):
                    self._inboxes[envelope.reply_to] = replies
        return envelope

    def called(
        self, flight: Flight, call: ToolCall, result: ToolResult, labels: frozenset[str]
    ) -> None:
        """A tool has answered."""
        if flight.trace is not None:
            outcome: dict[str, Any] = msgspec.to_builtins(result)
            entry = CalledTool(call.name, call.arguments, outcome, sorted(labels))
            flight.trace.calls.append(entry)

    def end(self, owner: str, flight: Flight, failure: BaseException | None) -> None:
        """The handler is done, or has failed: keep how it went, with the same commit."""
        trace, flight.trace = flight.trace, None
        if trace is None:
            return
        for envelope, _ in trace.emitted:
            self._inboxes.pop(envelope.reply_to, None)
        state = flight.keeps.get(("state", owner)) if failure is None else None
        self._number += 1
        handling = Written(
            self._number, owner, flight.sequence, trace.began, self._clock.time(),
            "done" if failure is None else type(failure).__name__, str(failure or "")[:500],
            [_emission(envelope, replies) for envelope, replies in trace.emitted],
            trace.calls, trace.clock, Raw(state or b"null"),
        )  # fmt: skip
        self._lines.append(msgspec.json.encode(handling))

    def write(self, batch: Batch) -> None:
        """Put what has ended since the last commit into this one, under the first number."""
        if self._lines:
            lines, self._lines = self._lines, []
            batch.values[SPACE, f"{self._number - len(lines) + 1:020d}"] = encode(lines)
            batch.values["meta", "handlings"] = str(self._number).encode()


def _emission(envelope: Envelope, replies: list[Envelope]) -> Published:
    data = envelope.data
    kind = "" if envelope.type == envelope.topic else envelope.type
    written = Raw(b"null" if isinstance(data, bytes) else envelope.payload)
    found = [Raw(reply.to_json()) for reply in replies]
    return Published(envelope.topic, kind, written, envelope.subject, found)


def handlings_of(data: bytes) -> list[Written]:
    """What `Recorder.write` put into one value."""
    texts = msgspec.msgpack.decode(data, type=list[bytes])
    return [msgspec.json.decode(text, type=Written) for text in texts]
