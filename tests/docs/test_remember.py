"""The page about memory: its agent remembers, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom_kernel.testing import running

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/remember.md"


@pytest.mark.anyio
@pytest.mark.feature("STO-02")
async def test_the_secretary_remembers(tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "python")
    app = tmp_path / "app"
    (app / "agents").mkdir(parents=True)
    (app / "agents/secretary.py").write_text(program.text, "utf-8")
    plugins = ("agents", "tools", "memory")
    async with running(*plugins, project=app, state=tmp_path / "state") as runtime:
        host = runtime.host("test")
        for text in ("The customer wants invoices as PDF", "Anna is on holiday in May"):
            await host.publish("note.taken", {"text": text})
        answer = await host.request("note.wanted", {"about": "when are Anna's holidays"})
        assert answer.data[0] == "Anna is on holiday in May"
    async with running(*plugins, project=app, state=tmp_path / "state") as runtime:
        asked = {"about": "invoicing the customers"}
        answer = await runtime.host("test").request("note.wanted", asked)
        assert answer.data[0] == "The customer wants invoices as PDF"
