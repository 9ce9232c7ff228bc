"""What a session's client is handling now: by number, with the labels of all that came of it.

Deliveries and calls of the client's tools are numbered in one row. What the client says of causes
is their number alone; labels are remembered here, so that a client that says nothing of them
washes nothing.
"""

from __future__ import annotations

import msgspec
from loom_kernel import Envelope

from loom_plugin_bridge.feed import Outlet

ASKED = 4096
"""Requests of which it is remembered what caused them, until they are answered."""


class Causes:
    """The causes of one session."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._calls: dict[int, Envelope] = {}
        self._asked: dict[str, int] = {}

    def find(self, number: int) -> Envelope | None:
        """The event of that delivery, while it is not acknowledged; or what led to that call."""
        unsettled = self._outlet.unsettled.get(number)
        return unsettled[1] if unsettled is not None else self._calls.get(number)

    def learn(self, number: int, labels: frozenset[str]) -> None:
        """What *number* causes from now on carries *labels* too, said or not.

        They came with the result of a tool, or with a reply, while the client handled it.
        """
        known = self.find(number)
        if known is None or labels <= known.labels:
            return
        joined = msgspec.structs.replace(known, labels=known.labels | labels)
        if number in self._calls:
            self._calls[number] = joined
        else:
            feed, _ = self._outlet.unsettled[number]
            self._outlet.unsettled[number] = feed, joined

    # -- calls of the client's tools ---------------------------------------------------------

    def begin(self, cause: Envelope) -> int:
        """The number by which the client names a call that *cause* led to."""
        self._outlet.deliveries = number = self._outlet.deliveries + 1
        self._calls[number] = cause
        return number

    def end(self, number: int) -> Envelope:
        """What led to call *number*, with all labels that came to it meanwhile."""
        return self._calls.pop(number)

    # -- requests ----------------------------------------------------------------------------

    def asked(self, reply_to: str, number: int) -> None:
        """While the client handled *number* it asked for an answer at *reply_to*."""
        self._asked[reply_to] = number
        if len(self._asked) > ASKED:
            del self._asked[next(iter(self._asked))]

    def replied(self, reply: Envelope) -> None:
        """An answer is handed to the client."""
        number = self._asked.get(reply.topic)
        if number is not None:
            self.learn(number, reply.labels)
