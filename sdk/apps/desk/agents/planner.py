"""Wakes up for every dropped document and decides whether it needs a report, and where."""

from __future__ import annotations

from pathlib import PurePosixPath

from loom import Agent, Context, Envelope, ToolError

from desk_text import Stamp, digest_of, is_report, is_up_to_date, may_write, report_paths

UNKNOWN = ""
"""Stands for the content of a file that is there but cannot be read: it is somebody else's."""


DONE = ("report.written", "document.refused")


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    if topic in DONE:
        under_way(ctx).pop(event.data["path"], None)
        return
    path: str = event.data["relative"]
    if is_report(path):
        return  # the watch ignores them too; two locks, because the app must never feed itself
    try:
        content = (await ctx.tool("fs:read_file", {"path": path}))["content"]
    except ToolError as error:
        await ctx.emit("document.refused", {"path": path, "reason": str(error)})
        return
    await plan(ctx, path, Stamp(PurePosixPath(path).name, digest_of(content)))


async def plan(ctx: Context, path: str, stamp: Stamp) -> None:
    """Take the first place for the report that is free or holds this document's last one."""
    if under_way(ctx).get(path) == stamp.digest:
        return  # told again after a crash: its report is being written already
    # Of two documents that come at once the second must not take the first one's place, although
    # nothing has been written there yet.
    promised: dict[str, str] = ctx.state.setdefault("promised", {})
    for report in report_paths(path):
        if promised.setdefault(report, path) != path:
            continue
        found = await find(ctx, report)
        if is_up_to_date(found, stamp):
            await ctx.emit("document.unchanged", {"path": path, "report": report})
            return
        if may_write(found, stamp):
            planned = {"path": path, "report": report, "digest": stamp.digest}
            under_way(ctx)[path] = stamp.digest
            await ctx.emit("document.planned", planned)
            return
        del promised[report]
    reason = "the names that its report could have are taken by files of somebody else"
    await ctx.emit("document.refused", {"path": path, "reason": reason})


def under_way(ctx: Context) -> dict[str, str]:
    """The documents whose reports are being written, with what they held when that was planned."""
    documents: dict[str, str] = ctx.state.setdefault("under_way", {})
    return documents


async def find(ctx: Context, report: str) -> str | None:
    """What is where the report would go; None when nothing is."""
    try:
        return str((await ctx.tool("fs:read_file", {"path": report}))["content"])
    except ToolError as error:
        return None if error.details.get("reason") == "PathNotFound" else UNKNOWN


agent = Agent(
    "planner",
    topics=["file.inbox.created", "file.inbox.modified", "file.inbox.moved", *DONE],
    on_event=on_event,
)
