"""The app as it is, run by the real plugins on folders on disk."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from loom_kernel.testing import EventRecorder, running

from desk_text import report

APP = Path(report.__file__).parents[1]
PLUGINS = ("agents", "files", "native", "tools")
TEXT = "# Tides\n\nThe tide tables of the harbour are printed every year. Who reads them?\n"

Drop = Callable[..., None]


@asynccontextmanager
async def desk(root: Path) -> AsyncIterator[tuple[Drop, EventRecorder]]:
    """The app at work in *root*; call the first result with names to drop documents."""
    shutil.copytree(APP / "agents", root / "agents", dirs_exist_ok=True)
    (root / "inbox").mkdir(exist_ok=True)
    config = tomllib.loads((APP / "loom.toml").read_text("utf-8"))
    async with running(*PLUGINS, config=config, project=root, state=root / ".loom") as runtime:
        recorder = EventRecorder(
            runtime.host("watcher"), "document.>", "report.>", "tool.call.completed"
        )

        def drop(*names: str, content: bytes = TEXT.encode()) -> None:
            for name in names:
                (root / "inbox" / name).write_bytes(content)

        yield drop, recorder


def written(recorder: EventRecorder) -> list[str]:
    """The reports that were written, in order."""
    return [event.data["report"] for event in recorder.on("report.written")]


def writes(recorder: EventRecorder) -> int:
    """How often the app wrote a file at all."""
    calls = recorder.on("tool.call.completed")
    return sum(event.data["name"] == "fs:write_file" for event in calls)


@pytest.mark.anyio
async def test_a_dropped_document_becomes_a_report_through_three_agents(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder):
        drop("tides.md")
        (event,) = await recorder.wait_for("report.written")
    steps = [event for event in recorder.events if not event.topic.startswith("tool.")]
    assert [(event.sender, event.topic) for event in steps] == [
        ("planner", "document.planned"),
        ("researcher", "document.researched"),
        ("writer", "report.written"),
    ]
    assert len({event.thread_id for event in steps}) == 1
    assert event.data["report"] == "tides.report.md"
    text = (tmp_path / "inbox" / "tides.report.md").read_text("utf-8")
    assert "- The tide tables of the harbour are printed every year.\n" in text
    assert "## Open questions\n\n- Who reads them?\n" in text


@pytest.mark.anyio
async def test_unchanged_content_is_not_reported_on_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder):
        drop("tides.md")
        await recorder.wait_for("report.written")
        drop("tides.md")
        await recorder.wait_for("document.unchanged")
        drop("tides.md", content=b"Something else.")
        await recorder.wait_for("report.written", count=2)
    assert written(recorder) == ["tides.report.md"] * 2


@pytest.mark.anyio
async def test_an_unchanged_document_is_known_by_a_new_process(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder):
        drop("tides.md")
        await recorder.wait_for("report.written")
    async with desk(tmp_path) as (drop, recorder):
        drop("tides.md")
        await recorder.wait_for("document.unchanged")
    assert writes(recorder) == 0


@pytest.mark.anyio
async def test_a_report_is_never_a_document(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder):
        drop("tides.report.md", "TIDES.REPORT.MD", "last.md")
        await recorder.wait_for("report.written")
    assert written(recorder) == ["last.report.md"]
    assert writes(recorder) == 1


@pytest.mark.anyio
async def test_documents_that_come_at_once_do_not_take_each_others_place(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder):
        drop("tides.md", "tides.txt", "tides.rst")
        await recorder.wait_for("report.written", count=3)
    sources = {
        line.removeprefix("source: ")
        for name in written(recorder)
        for line in (tmp_path / "inbox" / name).read_text("utf-8").splitlines()
        if line.startswith("source: ")
    }
    assert sources == {"tides.md", "tides.txt", "tides.rst"}


@pytest.mark.anyio
@pytest.mark.parametrize("content", [b"# my own", b"\xff\xfe not text"])
async def test_a_file_of_the_user_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    async with desk(tmp_path) as (drop, recorder):
        (tmp_path / "inbox" / "tides.report.md").write_bytes(content)
        drop("tides.md")
        await recorder.wait_for("report.written")
    assert written(recorder) == ["tides.md.report.md"]
    assert (tmp_path / "inbox" / "tides.report.md").read_bytes() == content


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("a.md", b"PNG\0", "zero bytes"), ("a.txt", b"\xff\xfe", "UTF-8")],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_and_says_why(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    async with desk(tmp_path) as (drop, recorder):
        drop(name, content=content)
        (event,) = await recorder.wait_for("document.refused")
    assert event.data["path"] == f"{name}"
    assert reason in event.data["reason"]
    assert writes(recorder) == 0


@pytest.mark.anyio
async def test_a_full_inbox_does_not_keep_a_document_from_its_report(tmp_path: Path) -> None:
    async with desk(tmp_path) as (drop, recorder):
        for number in range(1100):  # more than a listing shows
            (tmp_path / "inbox" / f"{number}.bin").touch()
        drop("tides.md")
        await recorder.wait_for("report.written")
    assert written(recorder) == ["tides.report.md"]
    assert recorder.on("document.refused") == []
