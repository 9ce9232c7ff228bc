"""What an agent remembers: plans and what became of them, events, and its context.

memory = ctx.memory.session("btc")
if (await memory.check_duplicate(plan)).duplicate is None: await memory.save_plan(plan)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, TypeVar

import msgspec
from loom_kernel import Envelope, LoomError

from loom.contracts import (
    MEMORY_TOPICS,
    AppendEvent,
    CheckDuplicate,
    CheckExecuted,
    ContextItem,
    ContextItems,
    Done,
    DuplicatePlan,
    EpisodeSummary,
    ExecutedPlan,
    ExecutionRecord,
    ExecutionStats,
    ForgetSession,
    GetExecutionStats,
    GetRecentPlans,
    MarkExecuted,
    Memories,
    MemoryItem,
    MemoryRequest,
    PlanRecord,
    QueryContext,
    RecentPlans,
    Retrieve,
    SaveContext,
    SavedPlan,
    SavePlan,
    SummarizeEpisode,
)

SESSION = "main"
T = TypeVar("T", bound=msgspec.Struct)


class Asks(Protocol):
    """Whoever can ask over the bus: a `loom.Context`."""

    async def request(self, target: str, topic: object, /, *, timeout_ms: float) -> Envelope: ...


class MemoryRefused(LoomError):
    """The memory service said no; *code* is one of the error codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Memory:
    """One session of the agent whose context *asks* is; nobody else can see into it.

    Every call raises `MemoryRefused` for what makes no sense or could not be kept, and
    `loom.NoResponders` if the plugin `memory` does not run.
    """

    def __init__(self, asks: Asks, session: str = SESSION, *, timeout_ms: float = 10_000) -> None:
        self.session_id = session
        self._asks = asks
        self._timeout = timeout_ms

    def session(self, id: str) -> Memory:
        """Another session of the same agent."""
        return Memory(self._asks, id, timeout_ms=self._timeout)

    # -- plans -------------------------------------------------------------------------------

    async def save_plan(self, plan: PlanRecord) -> str:
        """Remember *plan*; the hash that names it. The newest 100 are kept."""
        request = SavePlan(session_id=self.session_id, plan=plan)
        return (await self._ask(request, SavedPlan)).plan_hash

    async def recent_plans(self, subject: str = "", limit: int = 10) -> list[PlanRecord]:
        """The latest plans (about *subject*), newest first."""
        request = GetRecentPlans(session_id=self.session_id, subject=subject, limit=limit)
        return (await self._ask(request, RecentPlans)).plans

    async def check_duplicate(self, plan: PlanRecord, window: float = 300.0) -> DuplicatePlan:
        """Whether one with the same subject and action was saved within *window* seconds."""
        request = CheckDuplicate(session_id=self.session_id, plan=plan, window=window)
        return await self._ask(request, DuplicatePlan)

    async def mark_executed(self, plan_hash: str, execution: ExecutionRecord) -> None:
        """Remember what became of the plan."""
        request = MarkExecuted(session_id=self.session_id, plan_hash=plan_hash, execution=execution)
        await self._ask(request, Done)

    async def check_executed(self, plan_hash: str) -> ExecutionRecord | None:
        """How the plan was carried out; None if it was not."""
        request = CheckExecuted(session_id=self.session_id, plan_hash=plan_hash)
        return (await self._ask(request, ExecutedPlan)).execution

    async def execution_stats(self, subject: str = "") -> ExecutionStats:
        """How the executions (about *subject*) went."""
        request = GetExecutionStats(session_id=self.session_id, subject=subject)
        return await self._ask(request, ExecutionStats)

    # -- what happened -----------------------------------------------------------------------

    async def append_event(self, text: str, metadata: Mapping[str, str] | None = None) -> None:
        """Remember something that happened. The newest 500 are kept."""
        request = AppendEvent(session_id=self.session_id, text=text, metadata=dict(metadata or {}))
        await self._ask(request, Done)

    async def retrieve(
        self, query: str, limit: int = 10, filters: Mapping[str, str] | None = None
    ) -> list[MemoryItem]:
        """What is remembered that fits *query*, in meaning or in words, best first."""
        request = Retrieve(
            session_id=self.session_id, query=query, limit=limit, filters=dict(filters or {})
        )
        return (await self._ask(request, Memories)).items

    async def summarize(self, max_events: int = 0) -> EpisodeSummary:
        """The events (the latest so many) in few words."""
        request = SummarizeEpisode(session_id=self.session_id, max_events=max_events)
        return await self._ask(request, EpisodeSummary)

    # -- context -----------------------------------------------------------------------------

    async def save_context(self, items: Iterable[ContextItem]) -> None:
        """Keep *items*, all or none. The newest 1,000 are kept."""
        await self._ask(SaveContext(session_id=self.session_id, items=list(items)), Done)

    async def query_context(
        self,
        kind: str = "",
        *,
        since: float = 0.0,
        filters: Mapping[str, str] | None = None,
        order: Literal["newest", "important"] = "newest",
        limit: int = 100,
        offset: int = 0,
    ) -> list[ContextItem]:
        """Items that were kept: of one *kind*, not older than *since*, with these metadata."""
        request = QueryContext(
            session_id=self.session_id, kind=kind, since=since, filters=dict(filters or {}),
            order=order, limit=limit, offset=offset,
        )  # fmt: skip
        return (await self._ask(request, ContextItems)).items

    async def forget(self) -> None:
        """Remove all that is remembered of the session."""
        await self._ask(ForgetSession(session_id=self.session_id), Done)

    async def _ask(self, request: MemoryRequest, shape: type[T]) -> T:
        topic = MEMORY_TOPICS[type(request)]
        answer = await self._asks.request(topic, request, timeout_ms=self._timeout)
        if isinstance(answer.data, Mapping) and (error := answer.data.get("error")):
            raise MemoryRefused(error["code"], error["message"])
        return msgspec.convert(answer.data, shape)


__all__ = ["Memory", "MemoryRefused"]
