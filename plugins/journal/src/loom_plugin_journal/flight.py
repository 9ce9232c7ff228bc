"""One event on its way to one consumer, from the log to its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from loom_kernel import Envelope

if TYPE_CHECKING:
    from loom_plugin_journal.recording import Trace

State = Literal["waiting", "handled", "delayed", "held"]
Key = tuple[str, str]
"""Topic and thread: events of one key reach a consumer in the order of the log."""


class Tries(msgspec.Struct, array_like=True):
    """How often a delivery ended badly."""

    failures: int = 0
    """The handler raised, or took too long."""
    crashes: int = 0
    """The process of the handler ended."""


class Flight:
    """*envelope*, record *sequence* of the log, at a consumer."""

    __slots__ = ("envelope", "keeps", "sequence", "slot", "state", "steps", "trace", "tries")

    def __init__(self, sequence: int, envelope: Envelope, tries: Tries) -> None:
        self.sequence = sequence
        self.envelope = envelope
        self.tries = tries
        self.state: State = "waiting"
        self.slot = -1
        self.steps: Counter[str] = Counter()
        """What its handling has caused so far, each kind of thing counted."""
        self.trace: Trace | None = None
        """What is recorded of its handling."""
        self.keeps: dict[tuple[str, str], bytes | None] = {}
        """Values that become true when it is done with."""

    @property
    def key(self) -> Key:
        """What must not overtake it."""
        return self.envelope.topic, self.envelope.thread_id

    def step(self, kind: str) -> str:
        """The name of the next thing of *kind* that its handling causes.

        The same things have the same names in the next delivery of the event: that is how they
        are recognised as done.
        """
        self.steps[kind] += 1
        return f"{self.envelope.id}/{kind}/{self.steps[kind]}"


class Progress(msgspec.Struct, array_like=True):
    """How far a consumer is, as it is kept: every record before `next` is done with, but `left`."""

    number: int
    patterns: tuple[str, ...]
    next: int
    left: list[int]
    tries: dict[int, Tries]
    seen: float
    """When somebody last consumed under this name: UNIX seconds."""
    types: tuple[str, ...] = ()


class Letter(msgspec.Struct):
    """An event that was given up, for a person to look at."""

    consumer: str
    sequence: int
    time: float
    reason: str
    error: str
    failures: int
    crashes: int
    event: bytes
    """The envelope, untouched, as a record's body."""

    @property
    def id(self) -> str:
        """Its name: consumer and record."""
        return f"{self.consumer}/{self.sequence}"

    def summary(self) -> dict[str, Any]:
        """What is shown of it."""
        event = msgspec.msgpack.decode(self.event, type=Envelope)
        return {
            "id": self.id,
            "topic": event.topic,
            "event": event.id,
            "time": self.time,
            "reason": self.reason,
            "error": self.error,
            "failures": self.failures,
            "crashes": self.crashes,
        }
