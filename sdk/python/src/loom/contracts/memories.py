"""What an agent remembers of a session, asked for over the bus.

A request goes to the topic that `MEMORY_TOPICS` has for its type; the reply is the data of the
answer, or `{"error": {"code", "message"}}`. A session is named by whoever asks and is theirs: two
senders that use the same id have two sessions. Times are UNIX seconds, UTC. The same operations are
`loom.memory.v1.MemoryService` for clients of the bridge.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Text = Annotated[str, msgspec.Meta(max_length=65_536)]
Metadata = Annotated[dict[str, Text], msgspec.Meta(max_length=64)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
ExecutionStatus = Literal["succeeded", "failed", "skipped"]
"""How carrying out a plan ended; skipped = left undone on purpose."""


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent means to do."""

    subject: Name
    """What it is about, e.g. a ticker or a path."""
    action: Text = ""
    confidence: Fraction = 0.0
    reasoning: Text = ""
    time: Moment = 0.0
    """When it was made; 0 in a request is now."""
    plan_hash: Annotated[str, msgspec.Meta(max_length=512)] = ""
    """Names the plan within its session; made from the fields above if empty."""
    method: Text = ""
    metadata: Metadata = {}


class ExecutionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a plan."""

    subject: Name
    status: ExecutionStatus
    action: Text = ""
    confidence: Fraction = 0.0
    time: Moment = 0.0
    """When it ended; 0 in a request is now."""
    plan_hash: Annotated[str, msgspec.Meta(max_length=512)] = ""
    reference: Text = ""
    """What the outside calls it: an order's number, a message's id."""
    amount: float = 0.0
    unit: Text = ""
    error_message: Text = ""


class SavePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Remember a plan; the session keeps the newest 100. Answered with a `SavedPlan`."""

    session_id: Name
    plan: PlanRecord


class SavedPlan(msgspec.Struct, frozen=True):
    """The name of the plan within its session."""

    plan_hash: str


class GetRecentPlans(msgspec.Struct, frozen=True, kw_only=True):
    """The latest plans, newest first. Answered with `RecentPlans`."""

    session_id: Name
    subject: Annotated[str, msgspec.Meta(max_length=512)] = ""
    """Only plans about it; empty is all."""
    limit: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """0 is 10."""


class RecentPlans(msgspec.Struct, frozen=True):
    """Newest first."""

    plans: list[PlanRecord]


class CheckDuplicate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a plan with the same subject and action was saved a short time ago."""

    session_id: Name
    plan: PlanRecord
    window: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    """Seconds, 60 to 86400; 0 is 300."""


class DuplicatePlan(msgspec.Struct, frozen=True):
    """The newest plan that is repeated, if one is, and how many seconds ago it was made."""

    duplicate: PlanRecord | None = None
    age: float = 0.0


class MarkExecuted(msgspec.Struct, frozen=True, kw_only=True):
    """Remember what became of a plan; the session keeps the newest 1000."""

    session_id: Name
    plan_hash: Name
    execution: ExecutionRecord


class Done(msgspec.Struct, frozen=True):
    """It is on the disk."""


class CheckExecuted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a plan was carried out: ask before doing what must not be done twice."""

    session_id: Name
    plan_hash: Name


class ExecutedPlan(msgspec.Struct, frozen=True):
    """How it succeeded; None if it was not carried out: it failed, or was skipped, or is new."""

    execution: ExecutionRecord | None = None


class GetExecutionStats(msgspec.Struct, frozen=True, kw_only=True):
    """How the executions went. Answered with `ExecutionStats`."""

    session_id: Name
    subject: Annotated[str, msgspec.Meta(max_length=512)] = ""
    """Only executions about it; empty is all."""


class ExecutionStats(msgspec.Struct, frozen=True):
    """Counts of the executions that are remembered."""

    total: int
    succeeded: int
    failed: int
    skipped: int
    duplicates_prevented: int
    """How many plans `CheckDuplicate` found to be repetitions."""
    recent: list[ExecutionRecord]
    """The latest 10, newest first."""


class AppendEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Remember something that happened; the session keeps the newest 500."""

    session_id: Name
    text: Text = ""
    metadata: Metadata = {}


class Retrieve(msgspec.Struct, frozen=True, kw_only=True):
    """What the session remembers that fits a query, best first. Answered with `Memories`.

    Events, plans and items of its context are looked through; an empty query finds the newest.
    """

    session_id: Name
    query: Text = ""
    limit: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """0 is 10."""
    filters: Metadata = {}
    """Only what has these metadata."""


class MemoryItem(msgspec.Struct, frozen=True):
    """Something remembered."""

    text: str
    time: float
    metadata: dict[str, str]
    score: float
    """How well it fits; higher is better, comparable within one answer only."""


class Memories(msgspec.Struct, frozen=True):
    """Best first."""

    items: list[MemoryItem]


class SummarizeEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """The session's events in few words. Answered with an `EpisodeSummary`."""

    session_id: Name
    max_events: Annotated[int, msgspec.Meta(ge=0, le=500)] = 0
    """Only the latest so many; 0 is all."""


class EpisodeSummary(msgspec.Struct, frozen=True):
    """A summary, and how many events it is made of."""

    summary: str
    events: int


class ContextItem(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of what a session is about: a message, a result, an observation."""

    text: Text
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "message"
    key: Annotated[str, msgspec.Meta(max_length=512)] = ""
    """Names it within its session and kind, so that saving it again replaces it."""
    importance: Fraction = 0.5
    metadata: Metadata = {}
    time: Moment = 0.0
    """0 in a request is now."""


class SaveContext(msgspec.Struct, frozen=True, kw_only=True):
    """Keep *items*, all or none; the session keeps the newest 1000."""

    session_id: Name
    items: Annotated[list[ContextItem], msgspec.Meta(min_length=1, max_length=1000)]


class QueryContext(msgspec.Struct, frozen=True, kw_only=True):
    """Items of a session's context. Answered with `ContextItems`."""

    session_id: Name
    kind: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Only of that kind; empty is all."""
    since: Moment = 0.0
    filters: Metadata = {}
    order: Literal["newest", "important"] = "newest"
    limit: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    """0 is 100."""
    offset: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class ContextItems(msgspec.Struct, frozen=True):
    """In the order that was asked for."""

    items: list[ContextItem]


class ForgetSession(msgspec.Struct, frozen=True, kw_only=True):
    """Remove all that is remembered of the session."""

    session_id: Name


MemoryRequest = (
    SavePlan
    | GetRecentPlans
    | CheckDuplicate
    | MarkExecuted
    | CheckExecuted
    | GetExecutionStats
    | AppendEvent
    | Retrieve
    | SummarizeEpisode
    | SaveContext
    | QueryContext
    | ForgetSession
)
MEMORY_TOPICS: MappingProxyType[type[MemoryRequest], str] = MappingProxyType(
    {
        SavePlan: "memory.plan.save",
        GetRecentPlans: "memory.plan.recent",
        CheckDuplicate: "memory.plan.check",
        MarkExecuted: "memory.execution.mark",
        CheckExecuted: "memory.execution.check",
        GetExecutionStats: "memory.execution.stats",
        AppendEvent: "memory.event.append",
        Retrieve: "memory.retrieve",
        SummarizeEpisode: "memory.episode.summarize",
        SaveContext: "memory.context.save",
        QueryContext: "memory.context.query",
        ForgetSession: "memory.session.forget",
    }
)
"""Where each request goes; a client of the bridge has to be allowed to publish there."""
