"""What a run of thinking is set up with, goes through and comes to."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from loom.contracts import ModelErrorCode, Usage

Finish = Literal["answer", "exhausted", "stopped", "failed"]
FailureCode = (
    ModelErrorCode
    | Literal["BAD_TURNS", "BUDGET_EXCEEDED", "NO_ANSWER", "STOPPED", "WINDOW_TOO_SMALL"]
)


class ThinkingStrategy(StrEnum):
    """How a goal is thought about."""

    REACT = "react"
    """Think, call tools, look at what came of it, and so on."""
    CHAIN_OF_THOUGHT = "cot"
    """Think step by step in one answer, without tools."""
    SINGLE_SHOT = "single_shot"
    """Answer at once, without tools."""


class CognitiveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a `CognitiveAgent` thinks, and how far it may go."""

    system_prompt: str | None = None
    """Who the model is and what it is there for; None = a helpful assistant."""
    rules: tuple[str, ...] = ()
    """Standing rules: they are in every prompt, whatever else has to give way."""
    thinking_strategy: ThinkingStrategy = ThinkingStrategy.REACT
    max_iterations: int = 10
    """Turns of the model; after the last it is asked once more for an answer, without tools."""
    max_tools_per_step: int = 3
    """How many tool calls of one turn run at the same time."""
    max_bad_turns: int = 3
    """Turns in a row of which nothing could be used; then the run has failed."""
    tool_form: Literal["native", "text"] = "native"
    """`text` is for models without tool calls: one JSON object a turn, then FINAL ANSWER."""
    tool_limit: int = 8
    """How many tools a model is told of unless `available_tools` names them; it may search."""
    tool_timeout_ms: float = 0
    """0 leaves it to each tool."""
    temperature: float | None = 0.7
    max_tokens: int | None = None
    """The most tokens of one answer."""
    stop_on_final_answer: bool = True
    """False has the model hold its answer against the goal in one more turn, tools included."""
    context_tokens: int = 0
    """The window to keep to; 0 = the model's own, 8,192 if that is not known."""
    recent_window: int = 5
    """The latest steps that are told in full; older ones are a line each."""
    offload: bool = True
    """Whether long outputs go to a file, and the model gets a preview and reads what it needs."""

    def __post_init__(self) -> None:
        least = ("max_iterations", "max_tools_per_step", "max_bad_turns", "recent_window")
        for name in least:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a CognitiveConfig is {getattr(self, name)}; 1 or more")


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of a step, and what came of it."""

    id: str
    tool: str
    arguments: dict[str, Any] = {}
    observation: str = ""
    """What came of it, in one line."""
    output: str = ""
    """What the tool said; of a long one its beginning, and where the rest is."""
    reference: str = ""
    """By which the model reads a long output with `context:read`."""
    success: bool = True
    error: str = ""
    """The code of a failure."""
    latency_ms: float = 0.0


class ThoughtStep(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of the model: what it said, and the tool calls that it wanted."""

    number: int
    thought: str = ""
    actions: tuple[Action, ...] = ()
    notice: str = ""
    """What the model was told about this turn, if nothing of it could be used."""

    @property
    def tool_call(self) -> Action | None:
        """The first call; None if there was none."""
        return self.actions[0] if self.actions else None

    @property
    def observation(self) -> str:
        """What came of the calls, a line each."""
        return "\n".join(action.observation for action in self.actions) or self.notice


class Failure(msgspec.Struct, frozen=True):
    """Why a run came to no answer, for programs (*code*) and people (*message*)."""

    code: FailureCode
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class CognitiveResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. The steps are those that were taken, also of one that failed."""

    answer: str = ""
    """Of a failed run: the text that had come when the model broke off."""
    steps: list[ThoughtStep] = []
    iterations: int = 0
    """Turns that the model was asked for."""
    success: bool = True
    """Whether there is an answer; see *finish* for how it came about."""
    error: Failure | None = None
    finish: Finish = "answer"
    """`exhausted` = the answer was made of what was known when the iterations were used up."""
    total_latency_ms: float = 0.0
    usage: Usage = Usage()


class CognitiveStats(msgspec.Struct):
    """What a `CognitiveAgent` has done since it was made."""

    total_invocations: int = 0
    """Runs that were begun."""
    total_tool_calls: int = 0
    total_tool_errors: int = 0
    total_tool_ms: float = 0.0
    total_latency_ms: float = 0.0
    """Of the runs that ended."""
    finished: int = 0
    """Runs that ended."""

    @property
    def avg_latency_ms(self) -> float:
        """Of a run, from the goal to the result."""
        return self.total_latency_ms / self.finished if self.finished else 0.0

    @property
    def avg_tool_latency_ms(self) -> float:
        """Of a tool call."""
        return self.total_tool_ms / self.total_tool_calls if self.total_tool_calls else 0.0
