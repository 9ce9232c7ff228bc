"""The agents on the page about working together do what it says."""

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loom import Context
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, running

from tests.docs.pages import ROOT, blocks

pytestmark = pytest.mark.anyio
PROGRAMS = blocks(ROOT / "docs/how-to/collaborate.md", "python")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    folder = tmp_path / "agents"
    folder.mkdir()
    for number, block in enumerate(PROGRAMS[:-1]):
        (folder / f"part{number}.py").write_text(block.text, "utf-8")
    async with running("agents", "tools", project=tmp_path) as runtime:
        yield runtime


@pytest.mark.feature("COL-01")
async def test_a_purchase_is_decided(runtime: Runtime) -> None:
    answer = await runtime.host("test").request("purchase.wanted", "loom")
    assert answer.data == {"price": 12.5, "yes": 2}


@pytest.mark.feature("COL-04")
async def test_a_text_is_reviewed(runtime: Runtime) -> None:
    answer = await runtime.host("test").request("text.submitted", "words")
    opinions = {f"review.{kind}": f"review.{kind} has no objection" for kind in ("style", "facts")}
    assert answer.data == {"opinions": opinions, "missing": ["review.law"]}


@pytest.mark.feature("COL-05")
async def test_a_crew_boards(runtime: Runtime) -> None:
    recorder = EventRecorder(runtime.host("test"), "flight.*")
    await runtime.host("test").publish("flight.called")
    boarded = await recorder.wait_for("flight.boarded", 3)
    assert {event.data["member"] for event in boarded} == {"pilot", "engineer", "cook"}


@pytest.mark.feature("COL-06")
@pytest.mark.feature("COL-07")
async def test_the_careful_translator_gets_the_text(runtime: Runtime) -> None:
    answer = await runtime.host("test").request("translation.wanted", "hello")
    assert answer.data == {"by": "careful", "text": "hello (careful)"}


async def test_a_meeting_is_held(runtime: Runtime) -> None:
    recorder = EventRecorder(runtime.host("test"), "meeting.minutes")
    await runtime.host("test").publish("meeting.wanted")
    minutes = await recorder.wait_for("meeting.minutes", 2)
    assert {event.data for event in minutes} == {"eve heard hello", "max heard hello"}


async def test_an_inbox_of_ones_own(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROGRAMS[-1].text, "utf-8")
    first_two = runpy.run_path(str(tmp_path / "own.py"))["first_two"]
    assert await first_two(Context(runtime.host("test"), "test")) == [True, True]
