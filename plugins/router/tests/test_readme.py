"""What the page shows works."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from loom.testing.models import Answer, FakeModels
from loom_kernel.testing import running

PAGE = Path(__file__).parents[1] / "README.md"


def block(language: str) -> str:
    return PAGE.read_text("utf-8").split(f"```{language}\n")[1].split("```")[0]


@pytest.mark.anyio
@pytest.mark.feature("RTE-06")
async def test_the_clerk_on_the_page_answers(tmp_path: Path) -> None:
    config: dict[str, Any] = tomllib.loads(block("toml"))
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/clerk.py").write_text(block("python"), "utf-8")
    async with FakeModels(lambda _: Answer("Done.")) as models:
        config["llm"]["small"]["api_base"] = models.url
        plugins = ("agents", "tools", "models", "router")
        async with running(*plugins, config=config, project=tmp_path) as runtime:
            user = runtime.host("user")
            answer = await user.request("mail.in", {"text": "Thanks"}, timeout=20.0)
            assert answer.data == {"answer": "Done.", "from": "small"}
            found = await user.request("router.decisions", {"agent": "clerk"})
            assert len(found.data["decisions"]) == 1
