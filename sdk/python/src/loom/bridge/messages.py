"""The session protocol of the bridge: what two ends of a connection say to each other.

A session is two numbered streams of messages, one each way. Messages travel in frames; a frame
says the number of its first message and how many of the other side's it has seen, so that after
a cut each side sends again exactly what the other lacks. The first frame each way holds one
unnumbered message: `Hello` there, `Welcome` (or a fatal `Failure`) back; a client that resumes a
session names it in its hello. Three carriers move frames: gRPC (Protocol Buffers, see
`proto/loom/bridge/v1`), WebSocket (JSON) and a Unix socket (MessagePack, each frame after its
length); what is said is the same on each. docs/reference/bridge.md is the page for other languages.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

import msgspec
from loom_kernel import Envelope
from msgspec import UNSET, UnsetType

from loom.contracts import ToolCall, ToolDescriptor, ToolResult

PROTOCOL = 1

#: The canonical codes of google.rpc.Code that this protocol uses.
FailureCode: TypeAlias = Literal[
    "ABORTED",
    "ALREADY_EXISTS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
]


class Message(msgspec.Struct, tag_field="kind", tag=str.lower, omit_defaults=True, gc=False):
    """What all messages have in common: `kind` tells them apart."""


# -- from the client --------------------------------------------------------------------------


class Hello(Message):
    """Who wants to talk. The first message, alone in its frame, without a number."""

    token: str = ""
    """A carrier with headers of its own may carry it there instead."""
    agent: str = ""
    """The id to act as; empty = a client that is no agent, named after its token."""
    protocol: int = PROTOCOL
    software: str = ""
    """For people: `loom-python/0.1.0`."""
    session: str = ""
    """The session to resume; empty = a new one."""
    key: str = ""
    """The resumed session's key, from its `Welcome`."""
    seen: int = 0
    """How many of the server's messages arrived in the resumed session."""
    metadata: dict[str, str] = {}


class Subscribe(Message):
    """Receive what is published to *patterns*; again with the same *sub*, these too."""

    sub: int
    """The client's own number for it. 0 is an agent's mailbox, which outlives its process."""
    patterns: tuple[str, ...]
    qos: Literal["realtime", "batched", "background"] = "batched"
    overflow: str = ""
    capacity: int = 0
    """How many events may wait at the server; 0 = the default of the quality of service."""
    types: tuple[str, ...] = ()
    group: str = ""
    window: int = 256
    """How many deliveries may be unacknowledged; 0 = as many as the connection takes, no acks."""


class Unsubscribe(Message):
    """Receive *patterns* no more; without any, the subscription is over."""

    sub: int
    patterns: tuple[str, ...] = ()


class Fields(TypedDict, total=False):
    """What an author may set of an envelope besides topic, type and data."""

    subject: str
    priority: int
    confidence: float
    tags: list[str]
    metadata: dict[str, str]
    content_type: str
    reply_to: str
    thread_id: str
    correlation_id: str
    labels: list[str]
    ttl: int
    budget: dict[str, float]
    expires: float


class Publish(Message):
    """One event. Exactly one of *payload* and *data* is there."""

    topic: str
    payload: bytes | UnsetType = UNSET
    """JSON text."""
    data: bytes | UnsetType = UNSET
    """Octets."""
    type: str = ""
    cause: int = 0
    """The number of the delivery, or call, whose handling publishes it; 0 = none."""
    confirm: bool = False
    """Whether a `Taken` is wanted."""
    fields: Fields | None = None


class Ack(Message):
    """These deliveries are done with."""

    ranges: list[tuple[int, int]]
    """First and last number of each run, both included."""
    failed: int = 0
    """How many of them ended in an error."""


class Settle(Message):
    """How the handling of one delivery ended, where a plain `Ack` does not say enough."""

    delivery: int
    outcome: Literal["done", "failed", "retry", "reject"] = "done"
    reason: str = ""
    delay: float = -1.0
    """Seconds until a `retry`; less than 0 is the usual back-off."""
    state: bytes = b""
    """JSON object: what the agent knows from now on; empty is no change."""
    clock: list[float] = []
    """What the agent's clock said to it, reading by reading: UNIX seconds."""


class Offer(Message):
    """The tools that this agent answers calls for from now on, instead of those before."""

    tools: tuple[ToolDescriptor, ...]


class Report(Message):
    """Something that the runtime should tell on `$loom.<about>` in the client's name."""

    about: Literal["error", "request.timed_out"]
    details: dict[str, Any]


class Bye(Message):
    """The end of the session; nothing is kept for it."""


# -- both ways --------------------------------------------------------------------------------


class Call(Message):
    """Run a tool: the client asks for any, the server for one of the client's own."""

    ref: int
    """The caller's own number for it."""
    call: ToolCall
    cause: int = 0
    """Of the client's: the number of the delivery, or call, whose handling calls. Of the server's:
    by which number the client names this call as the cause of what it says while it runs it."""


class Result(Message):
    """The outcome of the other side's call *ref*."""

    ref: int
    result: ToolResult


class Cancel(Message):
    """The outcome of call *ref* is not wanted any more."""

    ref: int


# -- from the server --------------------------------------------------------------------------


class Welcome(Message):
    """The session is open. The first message, alone in its frame, without a number."""

    session: str
    key: str
    """The secret that resumes the session."""
    epoch: int
    """Counts the sessions of this agent id; older ones are over."""
    name: str
    """The sender that the bus stamps on what the session publishes."""
    resumed: bool = False
    seen: int = 0
    """How many of the client's messages arrived in the resumed session."""
    heartbeat: float = 5.0
    """Seconds within which each side lets the other hear of it."""
    lease: float = 15.0
    """Seconds of silence after which a connection counts as lost."""
    retention: float = 60.0
    """Seconds for which a session without a connection can be resumed."""
    max_frame: int = 4 << 20
    max_payload: int = 1 << 20
    keeps: bool = False
    """Whether what an agent knows is kept, and events that failed are delivered again."""
    state: bytes = b""
    """JSON object: what the agent knew when it was last done with an event; empty if it is new."""


class Deliver(Message):
    """One event for subscription *sub*."""

    sub: int
    event: Envelope
    number: int = 0
    """To acknowledge it by, counted from 1 within the session; 0 = it needs no acknowledgement."""
    again: bool = False
    """Whether an earlier process of this agent may have seen it."""


class Taken(Message):
    """How many subscriptions took the published message *about*."""

    about: int
    count: int


class Failure(Message):
    """Message *about* could not be done (0 = none in particular); *fatal* ends the connection."""

    code: FailureCode
    message: str
    about: int = 0
    fatal: bool = False
    details: dict[str, str] = {}


ClientMessage: TypeAlias = (
    Hello
    | Subscribe
    | Unsubscribe
    | Publish
    | Ack
    | Settle
    | Offer
    | Call
    | Result
    | Cancel
    | Report
    | Bye
)
ServerMessage: TypeAlias = Welcome | Deliver | Call | Result | Cancel | Taken | Failure


class ClientFrame(msgspec.Struct, omit_defaults=True):
    """What a client sends at once; without messages it is a heartbeat."""

    first: int = 0
    """The number of the first message; 0 = the one after the last."""
    seen: int = 0
    """How many numbered messages of the other side have arrived."""
    messages: list[ClientMessage] = []


class ServerFrame(msgspec.Struct, omit_defaults=True):
    """What a server sends at once; see `ClientFrame`."""

    first: int = 0
    seen: int = 0
    messages: list[ServerMessage] = []


Frame: TypeAlias = ClientFrame | ServerFrame


__all__ = [
    "PROTOCOL",
    "Ack",
    "Bye",
    "Call",
    "Cancel",
    "ClientFrame",
    "ClientMessage",
    "Deliver",
    "Failure",
    "FailureCode",
    "Fields",
    "Frame",
    "Hello",
    "Message",
    "Offer",
    "Publish",
    "Report",
    "Result",
    "ServerFrame",
    "ServerMessage",
    "Settle",
    "Subscribe",
    "Taken",
    "Unsubscribe",
    "Welcome",
]
