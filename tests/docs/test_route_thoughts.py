"""The page about routing: its configuration and its agents work, against two servers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from loom.testing.models import Answer, FakeModels
from loom_kernel.testing import running

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/route-thoughts.md"
HARD = "Design a strategy, step by step: compare the trade-offs and prove why it works."


@pytest.mark.anyio
@pytest.mark.feature("RTE-02", "RTE-06")
async def test_the_diary_stays_here_and_the_press_goes_where_it_is_best(tmp_path: Path) -> None:
    config = tomllib.loads(blocks(PAGE, "toml")[0].text)
    app = tmp_path / "app"
    (app / "agents").mkdir(parents=True)
    (app / "agents/office.py").write_text(blocks(PAGE, "python")[0].text, "utf-8")
    answer = lambda _: Answer("Yes.")  # noqa: E731  # a script
    async with FakeModels(answer) as here, FakeModels(answer) as there:
        config["llm"]["here"]["api_base"] = here.url
        config["llm"]["there"] |= {"api_base": there.url, "is_local": False, "api_key": "k"}
        plugins = ("agents", "tools", "models", "router")
        async with running(*plugins, config=config, project=app) as runtime:
            user = runtime.host("user")
            for topic, metadata, endpoint in (
                ("diary.asked", {}, "here"),
                ("press.asked", {}, "there"),
                ("press.asked", {"privacy": "private"}, "here"),
            ):
                asked = await user.request(topic, HARD, timeout=20.0, metadata=metadata)
                assert asked.data == {"answer": "Yes.", "from": endpoint}
        assert (len(here.requests), len(there.requests)) == (2, 1)
