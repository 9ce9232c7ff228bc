"""Plans, and what became of them."""

from __future__ import annotations

import hashlib
import sqlite3

import msgspec
from loom.contracts import (
    CheckDuplicate,
    CheckExecuted,
    DuplicatePlan,
    ExecutedPlan,
    ExecutionRecord,
    ExecutionStats,
    GetExecutionStats,
    GetRecentPlans,
    MarkExecuted,
    PlanRecord,
    RecentPlans,
    SavedPlan,
    SavePlan,
)

from loom_plugin_memory.texts import forget, oldest, say

PLANS = 100
EXECUTIONS = 1000
RECENT = 10
WINDOW = 300.0
_plan = msgspec.json.Decoder(PlanRecord).decode
_execution = msgspec.json.Decoder(ExecutionRecord).decode


def save(db: sqlite3.Connection, session: int, now: float, request: SavePlan) -> SavedPlan:
    """Keep the plan and the newest 99 others."""
    plan = msgspec.structs.replace(request.plan, time=request.plan.time or now)
    plan = msgspec.structs.replace(plan, plan_hash=plan.plan_hash or hash_of(plan))
    db.execute("DELETE FROM plan WHERE session = ? AND hash = ?", (session, plan.plan_hash))
    db.execute(
        "INSERT INTO plan (session, hash, subject, action, time, body) VALUES (?, ?, ?, ?, ?, ?)",
        (session, plan.plan_hash, plan.subject, plan.action, plan.time, msgspec.json.encode(plan)),
    )
    words = f"{plan.action} {plan.subject}: {plan.reasoning}".strip(" :")
    say(db, session, "plan", plan.plan_hash, plan.time, words, plan.metadata)
    _keep_newest(db, "plan", session, PLANS)
    forget(db, oldest(db, session, "plan", PLANS))
    return SavedPlan(plan.plan_hash)


def hash_of(plan: PlanRecord) -> str:
    """A name made from the time, subject, action, confidence and reasoning."""
    told = [plan.time, plan.subject, plan.action, plan.confidence, plan.reasoning]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]


def recent(
    db: sqlite3.Connection, session: int, now: float, request: GetRecentPlans
) -> RecentPlans:
    """The latest, newest first."""
    rows = db.execute(
        "SELECT body FROM plan WHERE session = ? AND (? = '' OR subject = ?) "
        "ORDER BY time DESC, id DESC LIMIT ?",
        (session, request.subject, request.subject, request.limit or RECENT),
    )
    return RecentPlans([_plan(body) for (body,) in rows])


def repeats(
    db: sqlite3.Connection, session: int, now: float, request: CheckDuplicate
) -> DuplicatePlan:
    """The newest plan of the same subject and action that was made within the window."""
    row = db.execute(
        "SELECT body FROM plan WHERE session = ? AND subject = ? AND action = ? AND time >= ? "
        "ORDER BY time DESC, id DESC LIMIT 1",
        (session, request.plan.subject, request.plan.action, now - (request.window or WINDOW)),
    ).fetchone()
    if row is None:
        return DuplicatePlan()
    db.execute("UPDATE session SET duplicates = duplicates + 1 WHERE id = ?", (session,))
    plan = _plan(row[0])
    return DuplicatePlan(plan, max(0.0, now - plan.time))


def mark(db: sqlite3.Connection, session: int, now: float, request: MarkExecuted) -> None:
    """Keep the execution and the newest 999 others."""
    done = msgspec.structs.replace(
        request.execution,
        plan_hash=request.plan_hash,
        time=request.execution.time or now,
    )
    db.execute(
        "INSERT INTO execution (session, hash, subject, status, time, body) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            session, done.plan_hash, done.subject, done.status, done.time,
            msgspec.json.encode(done),
        ),
    )  # fmt: skip
    _keep_newest(db, "execution", session, EXECUTIONS)


def executed(
    db: sqlite3.Connection, session: int, now: float, request: CheckExecuted
) -> ExecutedPlan:
    """The newest execution of the plan that succeeded: only then it was carried out."""
    row = db.execute(
        "SELECT body FROM execution WHERE session = ? AND hash = ? AND status = 'succeeded' "
        "ORDER BY time DESC, id DESC LIMIT 1",
        (session, request.plan_hash),
    ).fetchone()
    return ExecutedPlan(_execution(row[0]) if row else None)


def stats(
    db: sqlite3.Connection, session: int, now: float, request: GetExecutionStats
) -> ExecutionStats:
    """Counts, and the latest ten."""
    which = (session, request.subject, request.subject)
    where = "WHERE session = ? AND (? = '' OR subject = ?)"
    counts = dict(
        db.execute(f"SELECT status, count(*) FROM execution {where} GROUP BY status", which)  # noqa: S608
    )
    rows = db.execute(
        f"SELECT body FROM execution {where} ORDER BY time DESC, id DESC LIMIT {RECENT}",  # noqa: S608
        which,
    )
    latest = [_execution(body) for (body,) in rows]
    found = db.execute("SELECT duplicates FROM session WHERE id = ?", (session,)).fetchone()
    succeeded, failed, skipped = (counts.get(s, 0) for s in ("succeeded", "failed", "skipped"))
    total = succeeded + failed + skipped
    prevented = found[0] if found else 0
    return ExecutionStats(total, succeeded, failed, skipped, prevented, latest)


def _keep_newest(db: sqlite3.Connection, table: str, session: int, keep: int) -> None:
    db.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE session = ? "  # noqa: S608  # ours
        "ORDER BY time DESC, id DESC LIMIT -1 OFFSET ?)",
        (session, keep),
    )
