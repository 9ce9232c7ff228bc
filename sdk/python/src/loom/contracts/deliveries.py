"""Durable deliveries: what a handler may say of an event, and what is kept with its end.

A subscription with a durable name is given each event again until it is done with it. It is done
when the handler returns (or the consumer asks for the next); by raising, a handler says that it
is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec
from loom_kernel import Envelope, LoomError

from loom.contracts.tools import ToolCall, ToolResult


class Retry(LoomError):
    """Deliver this event again, after *delay* seconds (less than 0 = the usual back-off)."""

    def __init__(self, reason: str = "", delay: float = -1.0) -> None:
        super().__init__(reason or "its handler wants it again")
        self.delay = delay


class Reject(LoomError):
    """Never deliver this event again: nobody can handle it. It becomes a dead letter."""


class HandlerTimeout(LoomError):
    """A handler took longer for one event than it may."""

    def __init__(self, subscription: str, seconds: float) -> None:
        super().__init__(
            f"{subscription!r} was not done with an event within {seconds:g} s and was cancelled; "
            "allow it more, or let it do less"
        )
        self.subscription = subscription
        self.seconds = seconds


class Journal(Protocol):
    """What a journal does for those who consume durably; `None` of it without one."""

    @property
    def generation(self) -> str:
        """Changes when what was loaded may not be what is kept any more: load it again."""
        ...

    async def load(self, owner: str) -> bytes:
        """What *owner* knew when it was last done with an event, as JSON; empty if it is new.

        Raises:
            LoomError: it cannot be read; do not go on without it.
        """
        ...

    def keep(
        self, owner: str, state: bytes, event: Envelope, clock: Sequence[float] = ()
    ) -> Awaitable[None]:
        """*owner* knows *state* (JSON; empty = what it knew) from now on.

        *clock* is what its clock said to it while it handled *event*, for a replay.

        If *event* was delivered durably, it is written in one transaction with the end of its
        handling, and not at all if that does not end well; else it is on the disk when the result
        is there. The order of calls is kept, whether or not anybody waits.

        Raises:
            LoomError: it is too long, or cannot be written.
        """
        ...

    def begin_anew(self, owner: str, event: Envelope) -> None:
        """The process that handled *event* for *owner* is gone, and another one is given it.

        What it causes is named as it was the first time: that is how it is recognised.
        """
        ...

    def abandon(self, name: str) -> None:
        """Keep no more events for the durable *name*; nothing happens if somebody consumes."""
        ...


class Effect(msgspec.Struct, frozen=True):
    """Something that is about to change the world, and must not happen twice."""

    caller: str
    id: str
    """Names it among all of *caller*."""
    name: str
    """What does it: the tool."""
    digest: str
    """SHA-256 of what is asked for, so that another thing under the same name is noticed."""
    is_repeatable: bool = False
    """Whether doing it again, with the same id, is the same as doing it once."""


class Effects(Protocol):
    """Remembers, through any crash, what was begun and what came of it."""

    def name(self, caller: str, event: Envelope, what: str) -> str:
        """The id of the next effect *what* (text) in *caller*'s handling of *event*.

        The same effects have the same ids when the event is delivered again. Empty if it will
        not be: nothing is to be recognised then.
        """
        ...

    async def begin(self, effect: Effect) -> bytes | None:
        """Write down that *effect* is about to happen; what came of it, if it has happened.

        When this returns None the intent is on the disk (unless it is repeatable, which needs
        none).

        Raises:
            ToolError: OUTCOME_UNKNOWN, it was begun and nobody knows what came of it;
                INVALID_PARAMS, the id names something else.
            LoomError: it cannot be written; do not let it happen.
        """
        ...

    def told(
        self, event: Envelope, call: ToolCall, result: ToolResult, labels: frozenset[str]
    ) -> None:
        """*call*, made in the handling of *event*, had this outcome; a replay repeats it."""
        ...

    async def end(self, effect: Effect, outcome: bytes | None) -> None:
        """Write down what came of it; None = nothing, it may be begun anew."""
        ...
