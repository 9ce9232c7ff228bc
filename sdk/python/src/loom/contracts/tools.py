"""Tools: what a provider announces, what a caller asks, what comes back.

    tool.provider.wanted      the broker is there: providers, offer your tools (see `Tools.offer`)
    tool.provider.announced   {"owner", "tools": [name, …]}: all that it provides from now on
    tool.provider.refused     {"owner", "tool", "reason"}
    tool.call                 request with a ToolCall, reply is a ToolResult (see also `Tools`)
    tool.call.cancel          {"id"}: the caller does not want the outcome any more
    tool.list                 request with {"name"?, "provider"?}, reply is {"tools": […]}
    tool.call.started · .progressed · .completed · .failed   subject = call id

The broker is the only one that asks providers; nobody calls a tool past it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec
from loom_kernel import Envelope, LoomError

from loom.contracts.approvals import Capsule, Preparation

#: The sender whose calls providers accept: the plugin that keeps the one path.
BROKER = "tools"
#: The owner stopped everything; the owner lets it go on. Obeyed if the broker says so.
HALT, GO_ON = "halt.called", "halt.lifted"

ErrorCode = Literal[
    "ACTION_OK",
    "ACTION_ERROR",
    "ACTION_TIMEOUT",
    "INVALID_PARAMS",
    "CAPABILITY_ERROR",
    "PROVIDER_UNAVAILABLE",
    "PERMISSION_DENIED",
    "APPROVAL_DENIED",
    "BUDGET_EXCEEDED",
    "OUTCOME_UNKNOWN",
]


class ToolHints(msgspec.Struct, frozen=True):
    """What a tool does to the world, by its own account."""

    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False


class ToolDescriptor(msgspec.Struct, frozen=True):
    """One version of one tool."""

    name: str
    """`namespace:verb`, e.g. `fs:read_file`."""
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments (an object)."""
    version: str = "1.0"
    result: dict[str, Any] | None = None
    provider: str = "native"
    """The kind of provider: native, agent, wasm, process, mcp."""
    owner: str = ""
    """Who announced it; the broker takes it from the envelope's sender."""
    timeout: float = 30.0
    """Seconds a call may take if the caller does not say."""
    hints: ToolHints = ToolHints()
    permissions: tuple[str, ...] = ()
    """What it needs beyond its own computation: `fs.read`, `fs.write`, `exec`, `net`, `secret`, or
    a word of the provider's own. Whoever was not granted them is refused, or a person is asked."""
    labels: tuple[str, ...] = ()
    """What its results carry, and so all that they cause: `untrusted` for what strangers wrote,
    `sensitive`, `private`, `local-only`."""
    concurrency: int = 0
    """How many of its calls may run at once; 0 = as many as its provider takes."""
    is_prepared: bool = False
    """Whether its provider can say what a call would touch (a `Preparation`), before it runs."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call. *id* makes it idempotent: the same caller's same id runs once."""

    name: str
    arguments: Mapping[str, Any] = {}
    id: str = ""
    version: str = ""
    """Empty = the highest; `1` = the highest 1.x; `1.0` = exactly that."""
    timeout: float = 0.0
    """Seconds; 0 = what the tool's descriptor says."""
    caller: str = ""
    """Stamped by the broker from the envelope's sender."""
    reason: str = ""
    """Why the caller wants it, in its own words; shown to whoever is asked, as such."""


class ToolOrder(msgspec.Struct, frozen=True):
    """What the broker tells a provider to run: a call, and what was approved, if it had to be."""

    call: ToolCall
    capsule: Capsule | None = None


class ToolFailure(msgspec.Struct, frozen=True):
    """Why a call failed, for people (*message*) and programs (*details*)."""

    message: str
    details: dict[str, Any] = {}


class ToolResult(msgspec.Struct, frozen=True):
    """The outcome of a call."""

    id: str
    code: ErrorCode = "ACTION_OK"
    output: Any = None
    error: ToolFailure | None = None
    duration: float = 0.0
    """Seconds."""

    @property
    def is_ok(self) -> bool:
        """Whether the tool did what was asked."""
        return self.code == "ACTION_OK"


class ToolProgress(msgspec.Struct, frozen=True):
    """How far a call has come: the data of `tool.call.progressed`."""

    id: str
    name: str
    done: float
    total: float = 0.0
    """In the same unit as *done*; 0 = not known."""
    message: str = ""
    kind: str = ""
    """What *message* is, if the tool tells more than one thing: a model's `text` or `thinking`."""
    caller: str = ""
    """Whose call it is."""
    mark: str = ""
    """By what its caller knows it, if the tool takes a name of the caller's own."""


class ToolError(LoomError):
    """A tool call that did not end with ACTION_OK; *code* tells what to do about it."""

    def __init__(
        self, tool: str, code: ErrorCode, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        self.tool = tool
        self.code = code
        self.message = message
        self.details = dict(details or {})
        super().__init__(f"{tool}: {code}: {message}")


SEARCH = ToolDescriptor(
    name="tools:search",
    description="Find tools by what they do. Call this when no tool you know of fits.",
    parameters={
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What the tool should do, in a few words"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 32, "default": 8},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    hints=ToolHints(read_only=True, idempotent=True),
)
"""The one tool that a model needs to find all others; the broker provides it."""


class Provider(Protocol):
    """Whoever runs tools, as the broker sees it; `loom.ToolProvider` is one."""

    @property
    def awaited(self) -> Collection[str]:
        """Namespaces whose tools are to come soon: a call of one waits a little for it."""
        ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """Other names of its tools, each with the tool's own, which is what is granted and told.

        A tool that bears such a name itself comes first.
        """
        ...

    async def prepare(self, call: ToolCall) -> Preparation:
        """What *call* would touch.

        Raises:
            ToolError: it cannot be done at all.
        """
        ...

    async def run(self, order: ToolOrder, cause: Envelope) -> tuple[ToolResult, frozenset[str]]:
        """Run it, caused by *cause*; the outcome, and the labels of all that led to it.

        Cancelling this cancels the tool.
        """
        ...


class Tools(Protocol):
    """The broker, for those who are in its process: the one path, without the way over the bus."""

    async def run(self, caller: str, call: ToolCall) -> tuple[ToolResult, frozenset[str]]:
        """Run *call* for *caller*, caused by what is being handled; always a result.

        Cancelling this cancels the call.
        """
        ...

    def offer(self, owner: str, tools: Iterable[ToolDescriptor], provider: Provider) -> None:
        """From now on *owner* provides *tools*, and no others; *provider* runs them.

        One that cannot be taken in is told of on `tool.provider.refused`.
        """
        ...

    def leave(self, owner: str, provider: Provider) -> None:
        """*owner* is there no longer: its tools are unavailable, until somebody offers them."""
        ...


class RemoteTools(Protocol):
    """The broker as seen through a bridge: what a host in another process calls and offers by."""

    async def call(self, call: ToolCall) -> ToolResult:
        """Run a tool; always a result."""
        ...

    def offer(
        self,
        tools: Iterable[ToolDescriptor],
        answer: Callable[[ToolCall], Awaitable[ToolResult]],
    ) -> None:
        """Offer *tools*, and no others, from now on; *answer* runs them."""
        ...
