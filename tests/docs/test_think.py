"""The page about thinking: its agent finds an answer in real files, and its listener hears how."""

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import CognitiveAgent, Context, LLMProvider
from loom.testing.models import Answer, Call, FakeModels
from loom_kernel import Runtime
from loom_kernel.testing import running

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/think.md"
ANSWERS = [
    Answer("Let me look.", calls=(Call("fs__list_dir", {"path": "."}),)),
    Answer(calls=(Call("fs__read_file", {"path": "menu.md"}),)),
    Answer("There is soup.", thinking="It says soup."),
]


@asynccontextmanager
async def library(tmp_path: Path) -> AsyncIterator[tuple[Runtime, FakeModels]]:
    app = tmp_path / "app"
    for folder in ("agents", "workspace"):
        (app / folder).mkdir(parents=True)
    (app / "agents/librarian.py").write_text(blocks(PAGE, "python")[0].text, "utf-8")
    (app / "workspace/menu.md").write_text("Monday: soup", "utf-8")
    async with FakeModels(ANSWERS) as models:
        config: dict[str, Any] = {
            "llm": {"fake": {"model": "m", "api_base": models.url, "context_window": 32_000}},
            "plugins": {"tools": {"grants": {"*": ["fs.read"]}}},
        }
        plugins = ("agents", "tools", "native", "models")
        async with running(*plugins, config=config, project=app) as runtime:
            yield runtime, models


@pytest.mark.anyio
@pytest.mark.feature("COG-01")
async def test_the_librarian_answers_from_the_files(tmp_path: Path) -> None:
    async with library(tmp_path) as (runtime, models):
        asked = {"question": "What is there on Monday?"}
        answer = await runtime.host("user").request("question.asked", asked, timeout=20.0)
        assert answer.data == {"answer": "There is soup.", "tools": ["fs:list_dir", "fs:read_file"]}
        assert "Monday: soup" in models.requests[-1].prompt
        told = models.requests[0].body["messages"][0]["content"]
        assert told.startswith("You answer from the files.")


@pytest.mark.anyio
@pytest.mark.feature("COG-02")
async def test_the_listener_hears_text_and_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.py"
    file.write_text(blocks(PAGE, "python")[1].text, "utf-8")
    narrate = runpy.run_path(str(file))["narrate"]
    async with library(tmp_path) as (runtime, _):
        ctx = Context(runtime.host("ada"), "ada")
        thinker = CognitiveAgent(ctx, LLMProvider.from_runtime(ctx))
        result = await narrate(thinker, "What is there on Monday?")
    assert (result.answer, len(result.steps)) == ("There is soup.", 2)
    said = capsys.readouterr().out
    assert said.startswith("Let me look.\n[listed .: 1 entries: menu.md]\n")
    assert said.endswith("There is soup.")
