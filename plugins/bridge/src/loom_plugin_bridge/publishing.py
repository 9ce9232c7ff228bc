"""What a session publishes: in order, as far as its token allows, at the pace of the bus."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from loom.bridge import messages
from loom_kernel import BackpressureTimeout, BusClosed, Encoded, Envelope, Host, LoomError, current
from msgspec import UNSET

from loom_plugin_bridge.access import Grant, Scope
from loom_plugin_bridge.causes import Causes

PENDING = 1024
"""Events that may wait for room on the bus before the client is made to wait."""
REPLIES = 4096
"""Private reply addresses that are remembered: whoever received one may answer there."""
JUDGED = 4096
"""Topics of which it is remembered whether the token allows them."""
LONGEST_TOPIC = 255
LONGEST_TYPE = 255
LONGEST_HEAD = 64 << 10
"""Bytes, as JSON, of what is said of an event besides its data: it has to reach everybody."""
_json = msgspec.json.Decoder(msgspec.Raw).decode
_to_json = msgspec.json.Encoder().encode
Postponed = tuple[int, messages.Publish, Envelope | None]
"""What waits to be published: the message's number, itself, and its cause."""


class Client(Protocol):
    """The far end, as those see it who work for it."""

    def say(self, message: messages.ServerMessage) -> None:
        """Say *message* as soon as possible."""
        ...

    def mention(self, message: messages.ServerMessage) -> None:
        """Say *message* with whatever is said next, or in a moment."""
        ...

    def fail(self, code: messages.FailureCode, reason: str, about: int) -> None:
        """Say that message *about* could not be done."""
        ...

    def pace(self) -> None:
        """Look whether the client has to be made to wait, or need not any more."""
        ...


class Publisher:
    """Publishes for one session under the name of *host*."""

    def __init__(
        self,
        client: Client,
        host: Host,
        grant: Grant,
        scope: Scope,
        causes: Causes,
    ) -> None:
        self.max_payload = 1 << 20
        self.inbox = ""
        """What the client's private reply addresses begin with."""
        self._client = client
        self._host = host
        self._send = host.publish_nowait
        self._grant = grant
        self._scope = scope
        self._causes = causes
        self._replies: dict[str, None] = {}
        self._allowed: dict[str, bool] = {}
        self._pending: deque[Postponed | Callable[[], None]] = deque()
        self._working: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that the client should too."""
        return len(self._pending) >= PENDING

    def delivered(self, event: Envelope) -> None:
        """Let the client answer where *event* wants its answer, whatever else it may not."""
        if event.reply_to.startswith("$inbox."):
            self._replies[event.reply_to] = None
            if len(self._replies) > REPLIES:
                del self._replies[next(iter(self._replies))]

    def publish(self, number: int, message: messages.Publish) -> None:
        """Publish *message*, the client's message *number*; at once if there is room."""
        topic = message.topic
        allowed = self._allowed.get(topic)
        if allowed is None:
            allowed = self._judge(topic)
        if not allowed:
            no = f"token {self._grant.name!r} may not publish to {topic}"
            self._client.fail("PERMISSION_DENIED", no, number)
        elif message.fields and not self._may_receive(message.fields.get("reply_to", "")):
            no = f"token {self._grant.name!r} may not receive replies there"
            self._client.fail("PERMISSION_DENIED", no, number)
        elif problem := self._problem(message):
            self._client.fail("INVALID_ARGUMENT", problem, number)
        else:
            cause = self._cause(message) if message.cause else None
            waits = message.confirm and not topic.startswith("$inbox.")
            if self._pending or waits or not self._publish_nowait(number, message, cause):
                self._postpone(number, message, cause)

    def _cause(self, message: messages.Publish) -> Envelope | None:
        cause = self._causes.find(message.cause)
        if cause is not None and message.fields:
            reply_to = message.fields.get("reply_to", "")
            if reply_to.startswith(self.inbox):
                self._causes.asked(reply_to, message.cause)
        return cause

    def after(self, act: Callable[[], None]) -> None:
        """Call *act* when all that came before it is published: at once if nothing waits."""
        if self._pending:
            self._pending.append(act)
        else:
            act()

    def _judge(self, topic: str) -> bool:
        if topic.startswith("$inbox."):
            is_own = topic.startswith(self.inbox)
            return is_own or not self._grant.is_confined or topic in self._replies
        allowed = self._grant.may_publish(topic)
        if len(self._allowed) < JUDGED and len(topic) <= LONGEST_TOPIC:
            self._allowed[topic] = allowed
        return allowed

    def _may_receive(self, reply_to: str) -> bool:
        """Whether others may be asked to answer there: they may publish what this token may not."""
        if not (reply_to and self._grant.is_confined) or reply_to.startswith(self.inbox):
            return True
        return reply_to in self._replies or self._grant.may_subscribe(reply_to)

    def _problem(self, message: messages.Publish) -> str:
        """What is wrong with the data of *message*, if anything."""
        payload, octets = message.payload, message.data
        if (payload is UNSET) == (octets is UNSET):
            return "an event has either a payload (JSON) or data (octets)"
        if (message.type or message.fields) and (
            problem := problem_of_head(message.type, message.fields)
        ):
            return problem
        given = octets if payload is UNSET else payload
        if given is not UNSET and len(given) > self.max_payload:
            return f"the data has {len(given)} bytes; at most {self.max_payload}"
        if payload is not UNSET:
            try:
                if not payload.isascii():
                    payload.decode()
                _json(payload)
            except (ValueError, RecursionError, msgspec.DecodeError) as error:
                return f"the payload is not JSON: {error}"
        return ""

    def _arguments(self, message: messages.Publish) -> tuple[str, Any, str]:
        payload, topic = message.payload, message.topic
        value = message.data if payload is UNSET else Encoded(payload)
        if self._scope.is_open:
            return topic, value, message.type
        return self._scope.topic(topic), value, message.type or topic

    def _publish_nowait(
        self, number: int, message: messages.Publish, cause: Envelope | None
    ) -> bool:
        """Whether it was published, or refused for good, without waiting for room."""
        if cause is not None:
            current.set(cause)
        try:
            if message.fields:
                taken = self._send(*self._arguments(message), **message.fields)
            else:
                taken = self._send(*self._arguments(message))
        except BackpressureTimeout:
            return False
        except BusClosed as error:
            self._client.fail("UNAVAILABLE", str(error), number)
        except LoomError as error:
            self._client.fail("INVALID_ARGUMENT", str(error), number)
        else:
            if message.confirm:
                self._confirm(number, taken)
        finally:
            if cause is not None:
                current.set(None)
        return True

    def _confirm(self, number: int, taken: int) -> None:
        """That nobody heard is news; that somebody did can go with the reply that follows."""
        tell = self._client.mention if taken else self._client.say
        tell(messages.Taken(number, taken))

    def _postpone(self, number: int, message: messages.Publish, cause: Envelope | None) -> None:
        """Publish when there is room, in order; who sends on meanwhile is made to wait too."""
        self._pending.append((number, message, cause))
        if self._working is None or self._working.done():
            self._working = self._host.spawn(self._work_off(), "publish")
        if self.is_behind:
            self._client.pace()

    async def _work_off(self) -> None:
        pending = self._pending
        while pending:
            if isinstance(first := pending[0], tuple):
                if first[1].confirm or not self._publish_nowait(*first):
                    await self._publish_waiting(*first)
            else:
                self._do(first)
            pending.popleft()
            if len(pending) == PENDING // 2:
                self._client.pace()

    def _do(self, act: Callable[[], None]) -> None:
        try:
            act()
        except LoomError as error:
            self._client.fail("INVALID_ARGUMENT", str(error), 0)

    async def _publish_waiting(
        self, number: int, message: messages.Publish, cause: Envelope | None
    ) -> None:
        current.set(cause)
        try:
            taken = await self._host.publish(*self._arguments(message), **(message.fields or {}))
            if message.confirm:
                self._confirm(number, taken)
        except BackpressureTimeout as error:
            self._client.fail("RESOURCE_EXHAUSTED", str(error), number)
        except LoomError as error:
            self._client.fail("INVALID_ARGUMENT", str(error), number)
        finally:
            current.set(None)


def problem_of_head(type: str, fields: Mapping[str, Any] | None) -> str:
    """What would keep an event of *type* with *fields* from being said on every carrier."""
    if len(type) > LONGEST_TYPE:
        return f"the type has {len(type)} characters; at most {LONGEST_TYPE}"
    if not fields:
        return ""
    for number in (fields.get("expires", 0.0), *(fields.get("budget") or {}).values()):
        if number - number != 0:  # infinite, or not a number
            return f"{number} is no amount and no time"
    size = len(_to_json(fields))
    return f"its fields have {size} bytes; at most {LONGEST_HEAD}" if size > LONGEST_HEAD else ""
