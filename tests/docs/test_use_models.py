"""The page about models: its configuration, its agent and its test work, against a server."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import pytest
from loom.testing.models import Answer, FakeModels
from loom_kernel.testing import running

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/use-models.md"


@pytest.mark.anyio
@pytest.mark.feature("NAT-05")
async def test_the_oracle_answers_by_the_fallback(tmp_path: Path) -> None:
    config = tomllib.loads(blocks(PAGE, "toml")[0].text)
    app = tmp_path / "app"
    (app / "agents").mkdir(parents=True)
    (app / "agents/oracle.py").write_text(blocks(PAGE, "python")[0].text, "utf-8")
    async with FakeModels([Answer("Forty-two.", tokens=(9, 3))]) as models:
        config["llm"]["local"]["api_base"] = models.url
        config["llm"]["deepseek"]["api_key"] = ""  # nobody set it, so the fallback is asked
        plugins = ("agents", "tools", "models")
        async with running(*plugins, config=config, project=app) as runtime:
            asked = {"question": "What is the answer?"}
            answer = await runtime.host("user").request("question.asked", asked)
    assert answer.data == {"answer": "Forty-two.", "tokens": 3}


@pytest.mark.anyio
async def test_the_test_on_the_page_passes(tmp_path: Path) -> None:
    file = tmp_path / "page.py"
    file.write_text(blocks(PAGE, "python")[1].text, "utf-8")
    await runpy.run_path(str(file))["check_a_failure_is_recovered"]()
