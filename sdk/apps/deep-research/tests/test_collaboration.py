"""The lead among others: whom it believes, what it refuses, and how a report ends."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import Agent, Context, Envelope
from loom.contracts import Agents
from loom.testing.models import Answer, Asked, FakeModels
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, running

pytestmark = [pytest.mark.anyio, pytest.mark.feature("APP-05")]
APP = Path(__file__).parents[1]
URL = "https://a.example/"
Bring = Callable[[dict[str, Any]], dict[str, Any]]


@asynccontextmanager
async def led(
    folder: Path, bring: Bring, models: FakeModels | None = None, *, grants: bool = True
) -> AsyncIterator[tuple[Runtime, EventRecorder]]:
    """The real lead, with a researcher that brings what the test wants."""
    (folder / "agents").mkdir()
    shutil.copy(APP / "agents" / "lead.py", folder / "agents")
    config = tomllib.loads((APP / "loom.toml").read_text("utf-8"))
    del config["agents"]["researcher"], config["profile"]
    config["plugins"]["agents"]["run"] = "embedded"
    if not grants:
        config["plugins"]["tools"] = {"approval_timeout": 0.2}
    if models is not None:
        config["llm"] = {"fake": {"model": "m", "api_base": models.url}}

    async def find(ctx: Context, topic: str, event: Envelope) -> None:
        found = {key: event.data[key] for key in ("id", "number")}
        await ctx.emit("research.found", found | bring(event.data), labels=["untrusted"])

    names = ("agents", "journal", "models", "native", "tools")
    async with running(*names, config=config, project=folder, state=folder / ".loom") as runtime:
        agents = runtime.host("office").require(Agents)
        await agents.create(Agent("researcher", ["research.wanted"], on_event=find).definition())
        yield runtime, EventRecorder(runtime.host("watcher"), "research.>", "report.>")
        await agents.stop("researcher")


def findings(*words: str) -> dict[str, Any]:
    text = " ".join(f"The page says {word} of it." for word in words)
    return {
        "claims": [
            {"claim": f"It is {word}", "url": URL, "quote": f"says {word} of it"} for word in words
        ],
        "pages": [{"url": URL, "title": "A", "text": text, "accessed": 0.0}],
    }


def read(folder: Path, event: Envelope) -> str:
    file: Path = folder / "workspace" / event.data["path"]
    return file.read_text("utf-8")


async def test_the_model_chooses_the_summary_among_what_was_proved(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if "counted from 1" in asked.prompt:
            return Answer('{"claims": [5, 1, 99], "text": "The moon is cheese"}')
        return Answer(json.dumps({"questions": ["One?", "Two?"]}))

    words = {1: ["alpha", "beta", "gamma"], 2: ["delta", "epsilon", "zeta"]}
    async with FakeModels(answer) as models, led(
        tmp_path, lambda asked: findings(*words[asked["number"]]), models
    ) as (runtime, seen):  # fmt: skip
        await runtime.host("user").publish("user.query", {"query": "It?", "id": "a"})
        (written,) = await seen.wait_for("report.written", timeout=20.0)
        report = read(tmp_path, written)
    assert "## Summary\n\n- It is epsilon [1]\n- It is alpha [1]\n\n## 1. One?" in report
    assert "cheese" not in report
    assert "untrusted" in written.labels


async def test_what_others_say_that_was_found_is_left_out(tmp_path: Path) -> None:
    async with led(tmp_path, lambda asked: findings("alpha")) as (runtime, seen):

        async def forge(event: Envelope) -> None:
            told = {"id": "a", "number": 1, **findings("forged")}
            await mallory.publish("research.found", told)
            await mallory.publish("research.due", {"id": "a"})

        mallory = runtime.host("mallory")
        mallory.on("research.wanted", handler=forge)
        await runtime.host("user").publish("user.query", {"query": "It?", "id": "a"})
        (written,) = await seen.wait_for("report.written", timeout=20.0)
        report = read(tmp_path, written)
    assert "alpha" in report
    assert "forged" not in report


@pytest.mark.parametrize(
    "asked", [{}, {"query": " "}, {"query": "x" * 1001}, {"query": "It?", "id": "../x"}, "It?"]
)
async def test_what_is_no_query_is_refused(tmp_path: Path, asked: Any) -> None:
    async with led(tmp_path, lambda asked: findings("alpha")) as (runtime, seen):
        await runtime.host("user").publish("user.query", asked)
        (refused,) = await seen.wait_for("report.refused", timeout=20.0)
    assert refused.data["reason"].startswith("user.query: ")


async def test_a_report_that_may_not_be_written_has_failed(tmp_path: Path) -> None:
    async with led(tmp_path, lambda asked: findings("alpha"), grants=False) as (runtime, seen):
        await runtime.host("user").publish("user.query", {"query": "It?", "id": "a"})
        (failed,) = await seen.wait_for("report.failed", timeout=20.0)
    assert failed.data["id"] == "a"
    assert "APPROVAL_DENIED" in failed.data["reason"]
