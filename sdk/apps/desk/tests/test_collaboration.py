"""The three agents on a real bus, with the real broker, over a folder on disk."""

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import Agent, Context, Envelope, ToolError, ToolProvider
from loom.contracts import ToolCall, ToolDescriptor
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, running

from desk_text import report

APP = Path(report.__file__).parents[1]
ANY_OBJECT = {"type": "object"}
TEXT = "# Tides\n\nThe tide tables of the harbour are printed every year. Who reads them?\n"


class Folder:
    """The file tools, over *root*; it counts what is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: list[str] = []

    async def read(self, call: ToolCall) -> dict[str, Any]:
        try:
            return {"content": (self.root / call.arguments["path"]).read_bytes().decode()}
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(call.name, "ACTION_ERROR", type(error).__name__) from error

    async def write(self, call: ToolCall) -> dict[str, Any]:
        self.written.append(call.arguments["path"])
        (self.root / call.arguments["path"]).write_text(call.arguments["content"], "utf-8")
        return {}

    async def list(self, call: ToolCall) -> dict[str, Any]:
        names = sorted(file.name for file in (self.root / call.arguments["path"]).iterdir())
        return {"entries": [{"name": name} for name in names], "truncated": False}

    async def offer(self, host: Host) -> None:
        provider = ToolProvider(host)
        for name, handler in (("read_file", self.read), ("write_file", self.write),
                              ("list_dir", self.list)):  # fmt: skip
            provider.add(ToolDescriptor(f"fs:{name}", name, ANY_OBJECT), handler)
        await provider.start()


def play(runtime: Runtime, agent: Agent) -> None:
    """Let *agent* hear its topics."""
    host = runtime.host(agent.agent_id)
    context = Context(host, agent.agent_id)

    async def handle(event: Envelope) -> None:
        await agent.on_event(context, event.topic, event)

    host.on(*agent.topics, handler=handle)


Drop = Callable[..., Awaitable[None]]


@asynccontextmanager
async def desk(root: Path) -> AsyncIterator[tuple[Drop, EventRecorder, Folder]]:
    """The app at work on `root/inbox`; call the first result with names to drop documents."""
    (root / "inbox").mkdir(exist_ok=True)
    folder = Folder(root)
    async with running("tools") as runtime:
        recorder = EventRecorder(runtime.host("watcher"), "document.>", "report.>")
        await folder.offer(runtime.host("native"))
        for name in ("planner", "researcher", "writer"):
            play(runtime, runpy.run_path(str(APP / "agents" / f"{name}.py"))["agent"])
        files = runtime.host("files")

        async def drop(
            *names: str, content: bytes = TEXT.encode(), change: str = "created"
        ) -> None:
            for name in names:
                (root / "inbox" / name).write_bytes(content)
            for name in names:
                await files.publish(f"file.inbox.{change}", {"relative": name})

        yield drop, recorder, folder


@pytest.mark.anyio
async def test_a_dropped_document_becomes_a_report_through_three_agents(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder, _):
        await drop("tides.md")
        (event,) = await recorder.wait_for("report.written")
    assert [(event.sender, event.topic) for event in recorder.events] == [
        ("planner", "document.planned"),
        ("researcher", "document.researched"),
        ("writer", "report.written"),
    ]
    assert len({event.thread_id for event in recorder.events}) == 1
    assert event.data["report"] == "inbox/tides.report.md"
    text = (tmp_path / "inbox" / "tides.report.md").read_text("utf-8")
    assert "- The tide tables of the harbour are printed every year.\n" in text
    assert "## Open questions\n\n- Who reads them?\n" in text


@pytest.mark.anyio
async def test_unchanged_content_is_not_reported_on_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder, folder):
        await drop("tides.md")
        await recorder.wait_for("report.written")
        await drop("tides.md", change="modified")
        await recorder.wait_for("document.unchanged")
        await drop("tides.md", content=b"Something else.", change="modified")
        await recorder.wait_for("report.written", count=2)
    assert folder.written == ["inbox/tides.report.md"] * 2


@pytest.mark.anyio
async def test_an_unchanged_document_is_known_by_a_new_process(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder, _):
        await drop("tides.md")
        await recorder.wait_for("report.written")
    async with desk(tmp_path) as (drop, recorder, folder):
        await drop("tides.md")
        await recorder.wait_for("document.unchanged")
    assert folder.written == []


@pytest.mark.anyio
async def test_a_report_is_never_a_document(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder, folder):
        await drop("tides.report.md", "TIDES.REPORT.MD", "last.md")
        await recorder.wait_for("report.written")
    assert folder.written == ["inbox/last.report.md"]


@pytest.mark.anyio
async def test_documents_that_come_at_once_do_not_take_each_others_place(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder, folder):
        await drop("tides.md", "tides.txt", "tides.rst")
        await recorder.wait_for("report.written", count=3)
    assert sorted(folder.written) == [
        "inbox/tides.report.md", "inbox/tides.rst.report.md", "inbox/tides.txt.report.md",
    ]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("content", [b"# my own", b"\xff\xfe not text"])
async def test_a_file_of_the_user_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    async with desk(tmp_path) as (drop, recorder, folder):
        (tmp_path / "inbox" / "tides.report.md").write_bytes(content)
        await drop("tides.md")
        await recorder.wait_for("report.written")
    assert folder.written == ["inbox/tides.md.report.md"]
    assert (tmp_path / "inbox" / "tides.report.md").read_bytes() == content


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("a.md", b"PNG\0", "zero bytes"), ("a.txt", b"\xff\xfe", "UnicodeDecodeError"),
     ("a.pdf", b"text", "no reader for .pdf")],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_and_says_why(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    async with desk(tmp_path) as (drop, recorder, folder):
        await drop(name, content=content)
        (event,) = await recorder.wait_for("document.refused")
    assert event.data["path"] == f"inbox/{name}"
    assert reason in event.data["reason"]
    assert folder.written == []
