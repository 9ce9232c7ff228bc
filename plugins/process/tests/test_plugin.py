"""A plugin in a process of its own, as its caller, its author and its owner see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom_kernel.testing import check_plugin_contract

from plugins.process.tests.house import house, program

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-03")]


async def test_it_keeps_the_contract_of_plugins() -> None:
    await check_plugin_contract("process")


async def test_a_program_answers_a_call_through_the_broker(tmp_path: Path) -> None:
    async with house(tmp_path, {"words": program("words.py")}) as home:
        await home.reached("words", "running")
        result = await home.call("words:count", text="one two three")
        assert (result.code, result.output) == ("ACTION_OK", {"words": 3})
        (tool,) = [tool for tool in await home.tools() if tool.name == "words:count"]
        assert (tool.provider, tool.owner) == ("process", "words")
