"""Language models: what is asked of one, what it says, and who asks for it.

A driver (`loom.models`) speaks one protocol to one endpoint. The plugin `models` offers the
endpoints of `[llm.<name>]` to every agent as the tool `llm:generate`, and to plugins as `Models`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import msgspec
from loom_kernel import Envelope, LoomError

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
ToolChoice = Literal["auto", "required", "none"]
ModelErrorCode = Literal[
    "MODEL_UNAUTHORIZED",
    "MODEL_RATE_LIMITED",
    "MODEL_UNAVAILABLE",
    "MODEL_TIMEOUT",
    "MODEL_CIRCUIT_OPEN",
    "MODEL_INTERRUPTED",
    "MODEL_REFUSED",
    "MODEL_MALFORMED",
]


class ToolUse(msgspec.Struct, frozen=True):
    """A call that a model wants."""

    id: str
    """As the model gave it; its result names it."""
    name: str
    """The tool's own name, `fs:read_file`, whatever the wire made of it."""
    arguments: dict[str, Any] = {}
    problem: str = ""
    """Why *arguments* could not be read from what the model wrote; empty = they could."""
    written: str = ""
    """What the model wrote, if there is a problem."""


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning that a model told. Some want it back, word for word, with their seal."""

    text: str
    seal: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation."""

    role: Role
    content: str = ""
    calls: tuple[ToolUse, ...] = ()
    """What the assistant wants to be called."""
    thinking: tuple[Thinking, ...] = ()
    """What the assistant thought before."""
    call_id: str = ""
    """Of a tool's result: the `ToolUse.id` that it answers."""
    is_error: bool = False
    """Of a tool's result: the call failed."""


class ModelTool(msgspec.Struct, frozen=True):
    """A tool as a model is told of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments (an object)."""


class ModelRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked. None and empty leave it to the endpoint's settings."""

    messages: tuple[Message, ...]
    model: str = ""
    tools: tuple[ModelTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    temperature: float | None = None
    max_tokens: int | None = None
    """The most tokens of the answer."""
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer has to fit, where the endpoint can hold a model to one."""


class Usage(msgspec.Struct, frozen=True):
    """What an answer took. *cost* is in the unit of the endpoint's prices, normally dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input: those that were read from the endpoint's cache."""
    reasoning_tokens: int = 0
    """Of the output: those that were thought and not said."""
    cost: float = 0.0
    is_estimated: bool = False
    """The endpoint did not say; these are counts of words."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cost + other.cost,
            self.is_estimated or other.is_estimated,
        )


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    """More of the answer's text."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag="thinking"):
    """More of what the model thinks, apart from the answer."""

    text: str


class ModelReply(msgspec.Struct, frozen=True, tag="reply"):
    """The whole answer; the last part of a stream."""

    content: str = ""
    calls: tuple[ToolUse, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    finish: FinishReason = "stop"
    usage: Usage = Usage()
    model: str = ""
    """Which model answered, as the endpoint calls it."""
    endpoint: str = ""
    """The name of the `[llm.<name>]` that answered."""
    id: str = ""
    """The endpoint's name of this answer."""

    @property
    def message(self) -> Message:
        """This answer as a turn of the conversation."""
        return Message("assistant", self.content, self.calls, self.thinking)


ModelPart = TextDelta | ThinkingDelta | ModelReply
"""A part of a streamed answer: deltas in order, then the reply."""


class ModelError(LoomError):
    """A model gave no answer. *is_final* = asking the same again cannot help."""

    def __init__(
        self,
        endpoint: str,
        code: ModelErrorCode,
        message: str,
        *,
        is_final: bool = False,
        retry_after: float | None = None,
        partial: str = "",
    ) -> None:
        super().__init__(f"llm {endpoint!r}: {code}: {message}")
        self.endpoint = endpoint
        self.code = code
        self.message = message
        self.is_final = is_final
        self.retry_after = retry_after
        """Seconds after which the endpoint wants to be asked again, if it said so."""
        self.partial = partial
        """The text that had come when it broke off."""


class ModelDriver(Protocol):
    """Speaks one protocol to one endpoint. Made with its `loom.models.Endpoint`."""

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelPart]]:
        """Ask once, without trying again; leaving the context closes the connection.

        Raises:
            ModelError: on entering, or while the parts come.
        """
        ...

    async def aclose(self) -> None:
        """End all connections."""
        ...


class ModelRecord(msgspec.Struct, frozen=True):
    """An endpoint that may be asked, without its secrets."""

    name: str
    """Of its table, `[llm.<name>]`."""
    model: str
    is_local: bool
    """What is asked does not leave this machine."""
    context_window: int = 0
    """Tokens; 0 = unknown."""
    input_price: float = 0.0
    """For a million tokens."""
    output_price: float = 0.0
    state: Literal["ready", "open", "unauthorized"] = "ready"
    """`open` = it failed too often and is left alone for a while."""


class Models(Protocol):
    """The endpoints, for plugins in the runtime's process; agents call `llm:generate`."""

    def list(self) -> Sequence[ModelRecord]:
        """Every endpoint, in the order of `loom.toml`."""
        ...

    def stream(
        self, name: str, request: ModelRequest, cause: Envelope | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelPart]]:
        """Ask endpoint *name* (empty = the default one), caused by *cause*, which pays.

        Raises:
            ModelError: see `ModelDriver.stream`; tries and fallbacks are over. MODEL_REFUSED
                also if the labels of *cause* forbid that this leaves the machine.
            BudgetExceeded: the cause may not spend that much; nothing was asked.
        """
        ...


class RouteRequest(msgspec.Struct, frozen=True):
    """What a thought needs. None = what the agent, or the owner, has set."""

    agent: str
    event_type: str = ""
    privacy: str = ""
    """`public`, `sensitive`, `private` or `local-only`."""
    latency_ms: float | None = None
    cost_cap: float | None = None
    quality: float | None = None
    details: Mapping[str, Any] = {}


Route = Literal["local", "cloud", "hybrid", "local_fallback", "defer", "drop"]


class RouteDecision(msgspec.Struct, frozen=True):
    """Where a thought is thought, why, and what that takes; actual figures are 0 until known."""

    id: str
    route: Route
    endpoint: str
    """The `[llm.<name>]` chosen; of `hybrid` the quick one. Empty = none."""
    reason: str
    confidence: float
    refine: str = ""
    """Of `hybrid`: the endpoint that refines."""
    violations: tuple[str, ...] = ()
    """Limits that no choice could keep: `latency_budget`, `cost_cap`, …"""
    estimated_ms: float = 0.0
    estimated_cost: float = 0.0
    actual_ms: float = 0.0
    actual_cost: float = 0.0
    agent: str = ""
    event_id: str = ""
    privacy: str = ""
    time: float = 0.0


class Router(Protocol):
    """Decides where a thought is thought (plugin `router`)."""

    def decide(self, request: RouteRequest, cause: Envelope | None = None) -> RouteDecision:
        """Choose; labels of *cause* are obeyed. Takes far less than a millisecond."""
        ...

    def learn(
        self, decision: RouteDecision, *, ms: float, cost: float, quality: float | None
    ) -> None:
        """Tell what came of *decision*; *quality* 0 to 1 if somebody judged it."""
        ...
