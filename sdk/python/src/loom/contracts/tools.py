"""Tools: what a provider announces, what a caller asks, what comes back.

    tool.provider.announced   {"tools": [ToolDescriptor, …]}; whoever announces, answers calls
    tool.provider.withdrawn   {"tools": [name, …]}
    tool.provider.wanted      the broker asks every provider to announce again
    tool.call                 request with a ToolCall, reply is a ToolResult
    tool.list                 request with {"name"?, "provider"?}, reply is {"tools": […]}
    tool.call.started · .completed · .failed   one event each a call, subject = call id

The broker is the only one that asks providers; nobody calls a tool past it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec
from loom_kernel import LoomError

#: The sender whose calls providers accept: the plugin that keeps the one path.
BROKER = "tools"

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
    address: str = ""
    """The topic on which the provider answers calls."""
    timeout: float = 30.0
    """Seconds a call may take if the caller does not say."""
    hints: ToolHints = ToolHints()


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
