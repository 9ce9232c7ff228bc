"""The page about chat: its parrot takes part in a conversation as `loom chat` leads one."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom.contracts import ChatSaid, ChatTold, read
from loom_kernel.testing import EventRecorder, running

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "plugins/chat/README.md"


@pytest.mark.anyio
@pytest.mark.feature("CLI-02")
async def test_the_parrot_says_what_it_hears(tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "python")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/parrot.py").write_text(program.text, "utf-8")
    async with running("agents", project=tmp_path) as runtime:
        user = runtime.host("user")
        told = EventRecorder(runtime.host("witness"), "chat.parrot.told")
        history = await user.request("chat.parrot.history", {"session": "main"})
        assert history.data == {"entries": []}
        await user.publish("chat.parrot.said", ChatSaid("Hello", "t1"))
        (event,) = await told.wait_for("chat.parrot.told")
    assert read(event, ChatTold) == ChatTold("answered", "t1", "main", "Hello")
