"""All that a session receives: its subscriptions by the client's numbers, and acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom.bridge import messages
from loom.contracts import Journal, Reject, Retry
from loom_kernel import Host, LoomError, Subscription, decode_json

from loom_plugin_bridge.access import Grant, Scope
from loom_plugin_bridge.causes import Causes
from loom_plugin_bridge.feed import Feed, Outlet
from loom_plugin_bridge.publishing import Client

INBOX = -1
"""The number of the subscription to the session's private replies; it is always there."""
MOST = 1024
"""Subscriptions that one session may have, and patterns that one of them may have."""
DEEPEST = 65_536
"""Events that may wait in one subscription, and deliveries that may be unacknowledged."""
OpenMailbox = Callable[[messages.Subscribe, Outlet], Feed]


class Feeds:
    """The subscriptions of one session, made by *host*."""

    def __init__(
        self,
        client: Client,
        host: Host,
        grant: Grant,
        scope: Scope,
        outlet: Outlet,
        causes: Causes,
        open_mailbox: OpenMailbox | None,
    ) -> None:
        self._client = client
        self._host = host
        self._grant = grant
        self._scope = scope
        self._outlet = outlet
        self._causes = causes
        self._open_mailbox = open_mailbox
        self._feeds: dict[int, tuple[Feed, asyncio.Task[None]]] = {}

    def open_inbox(self, pattern: str) -> None:
        """Hand down what comes to *pattern*, without acknowledgements."""
        inbox = self._host.subscribe(
            pattern, qos="realtime", capacity=4096, name=f"{self._host.name}:inbox"
        )
        inbox.is_shed = False  # replies are no load, and a lost one no relief
        feed = Feed(INBOX, inbox, 0, self._outlet)
        feed.on_event = self._causes.replied
        self._begin(feed)

    def subscribe(self, number: int, message: messages.Subscribe) -> None:
        """Begin what the client's message *number* asks for."""
        for pattern in message.patterns:
            if not self._grant.may_subscribe(pattern):
                no = f"token {self._grant.name!r} may not subscribe to {pattern}"
                self._client.fail("PERMISSION_DENIED", no, number)
                return
        try:
            self._open(message)
        except (LoomError, ValueError) as error:
            self._client.fail("INVALID_ARGUMENT", str(error), number)

    def _open(self, message: messages.Subscribe) -> None:
        patterns = tuple(self._scope.topic(pattern) for pattern in message.patterns)
        if message.sub < 0 or message.window < 0:
            raise LoomError(f"subscription {message.sub}, window {message.window}: not below 0")
        if max(message.window, message.capacity) > DEEPEST:
            raise LoomError(f"window and capacity are at most {DEEPEST}")
        known = self._feeds.get(message.sub)
        if len(patterns) + (len(known[0].subscription.patterns) if known else 0) > MOST:
            raise LoomError(f"a subscription has at most {MOST} patterns")
        if known:
            for pattern in patterns:
                known[0].subscription.add(pattern)
        elif len(self._feeds) > MOST:
            raise LoomError(f"a session has at most {MOST} subscriptions; give some up")
        elif message.sub == 0 and self._open_mailbox is not None:
            wanted = msgspec.structs.replace(message, patterns=patterns)
            self._begin(self._open_mailbox(wanted, self._outlet))
        else:
            subscription = self._subscription(message, patterns)
            self._begin(Feed(message.sub, subscription, message.window, self._outlet))

    def _begin(self, feed: Feed) -> None:
        task = self._host.spawn(feed.run(), f"feed/{feed.number}")
        self._feeds[feed.number] = feed, task

    def _subscription(self, message: messages.Subscribe, patterns: tuple[str, ...]) -> Subscription:
        options: dict[str, Any] = {"capacity": message.capacity} if message.capacity else {}
        return self._host.subscribe(
            *patterns,
            qos=message.qos,
            overflow=message.overflow,
            types=message.types,
            group=self._scope.topic(message.group) if message.group else "",
            name=f"{self._host.name}:{message.sub}",
            **options,
        )

    def unsubscribe(self, message: messages.Unsubscribe) -> None:
        """Give up *message*'s patterns, or the whole subscription."""
        known = self._feeds.get(message.sub)
        if known is None or message.sub == INBOX:
            return
        feed = known[0]
        for pattern in message.patterns:
            feed.subscription.remove(self._scope.topic(pattern))
        if not message.patterns:
            feed.subscription.close()
            self._outlet.forget(feed)
            del self._feeds[message.sub]

    def acknowledge(self, message: messages.Ack) -> int:
        """Take in an acknowledgement; how many deliveries it was for."""
        return sum(self._outlet.settle(first, last) for first, last in message.ranges)

    def conclude(self, message: messages.Settle, journal: Journal | None) -> int:
        """Take in how one delivery ended, and what the agent knows from then on.

        Raises:
            LoomError: what it knows cannot be kept; the delivery has failed.
        """
        event = self._causes.find(message.delivery)
        failure = _failure(message)
        if failure is None and journal is not None and event is not None:
            try:
                state = checked_state(message.state) if message.state else b""
                kept = journal.keep(self._host.name, state, event, message.clock)
            except LoomError as error:
                self._outlet.conclude(message.delivery, error)
                raise
            self._host.spawn(_wait(kept), "keep")
        return self._outlet.conclude(message.delivery, failure)


def checked_state(state: bytes) -> bytes:
    """*state*, if it is a JSON object.

    Raises:
        LoomError: it is none.
    """
    if not isinstance(decode_json(state, "a state"), dict):
        raise LoomError("what an agent knows is a JSON object")
    return state


def _failure(message: messages.Settle) -> BaseException | None:
    if message.outcome == "done":
        return None
    if message.outcome == "retry":
        return Retry(message.reason, message.delay)
    return Reject(message.reason) if message.outcome == "reject" else LoomError(message.reason)


async def _wait(kept: Awaitable[None]) -> None:
    await kept
