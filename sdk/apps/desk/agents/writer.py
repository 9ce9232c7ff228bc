"""Writes the report beside the document."""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec
from loom import Agent, Context, Envelope, ToolError

from desk_text import Findings, Stamp, render


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    path, report = event.data["path"], event.data["report"]
    findings = msgspec.convert(event.data["findings"], Findings)
    text = render(findings, Stamp(PurePosixPath(path).name, event.data["digest"]))
    try:
        await ctx.tool("fs:write_file", {"path": report, "content": text})
    except ToolError as error:
        await ctx.emit("document.refused", {"path": path, "reason": str(error)})
        return
    written = {"path": path, "report": report, "title": findings.title, "summary": findings.summary}
    await ctx.emit("report.written", written)


agent = Agent("writer", topics=["document.researched"], on_event=on_event)
