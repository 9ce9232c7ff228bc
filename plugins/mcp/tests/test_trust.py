"""Nothing of a stranger runs, and no tool is announced, before the owner has accepted it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from loom.pins import Pins
from loom_kernel.testing import wait_until

from plugins.mcp.tests.house import SCRIPTED, marked, new_mark, open_house, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-11")]


async def test_a_server_that_was_not_accepted_is_not_started(tmp_path: Path) -> None:
    mark = new_mark()
    server = scripted("plain", env={"MARK": mark})
    async with open_house(tmp_path, trusted=False, one=server) as house:
        found = await house.state("one", "untrusted")
        assert found["reason"] == "its command was never accepted: loom mcp trust one"
        shown = await house.ask("mcp.server.launch", server="one")
        assert any(line.startswith("runs ") and str(SCRIPTED) in line for line in shown["launch"])
        assert "variables  MARK" in shown["launch"]
        assert "network    none" in shown["launch"]
        assert not marked(mark)
        await house.ask("mcp.server.inspect", server="one")
        await wait_until(lambda: not marked(mark))  # it was started to be looked at, and ended
        assert (await house.server("one"))["state"] == "untrusted"
        assert await house.tools("one") == {}


async def test_what_was_accepted_starts_by_itself_the_next_time(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain")):
        pass
    lock = json.loads((tmp_path / "tools.lock").read_text())
    assert sorted(lock["mcp"]["one"]) == ["command", "launch", "tools"]
    async with open_house(tmp_path, trusted=False, one=scripted("plain")) as house:
        await house.state("one", "running")
        await house.announced("one:echo")


@pytest.mark.corpus
@pytest.mark.parametrize(
    "change",
    [
        {"args": ["-S", str(SCRIPTED), "rug"]},
        {"network": True},
        {"write": ["."]},
        {"env": {"OTHER": "1"}},
        {"env": {"PYTHONPATH": "/elsewhere"}},
    ],
)
async def test_another_command_or_reach_asks_again(
    tmp_path: Path, change: dict[str, object]
) -> None:
    given = {"env": {"PYTHONPATH": "/here"}}
    async with open_house(tmp_path, one=scripted("plain", **given)):
        pass
    server = scripted("plain", **given) | change
    async with open_house(tmp_path, trusted=False, one=server) as house:
        found = await house.state("one", "untrusted")
        assert "not the one that was accepted" in found["reason"]
        shown = await house.ask("mcp.server.launch", server="one")
        assert shown["differences"]


async def test_the_value_of_an_ordinary_variable_may_change(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain", env={"TOKEN": "old"})):
        pass
    text = (tmp_path / "tools.lock").read_text()
    assert "old" not in text
    server = scripted("plain", env={"TOKEN": "new"})
    async with open_house(tmp_path, trusted=False, one=server) as house:
        await house.state("one", "running")


async def test_another_script_under_the_same_name_asks_again(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    shutil.copy(SCRIPTED, script)
    server = {**scripted("plain"), "args": ["-S", str(script)], "read": ["server.py"]}
    async with open_house(tmp_path, one=server):
        pass
    with script.open("a") as file:
        file.write("# something else\n")
    async with open_house(tmp_path, trusted=False, one=server) as house:
        await house.state("one", "untrusted")
        shown = await house.ask("mcp.server.launch", server="one")
        assert [line.partition(":")[0] for line in shown["differences"]] == ["files"]


async def test_only_the_owner_decides(tmp_path: Path) -> None:
    async with open_house(tmp_path, trusted=False, one=scripted("plain")) as house:
        for what in ("launch", "inspect", "trust", "forget", "restart"):
            answer = await house.ask(f"mcp.server.{what}", house.agent, server="one", digest="")
            assert answer["code"] == "PERMISSION_DENIED"
        for what in ("tools", "call", "resources", "read"):
            answer = await house.ask(f"mcp.serve.{what}", house.agent, client="x")
            assert answer["code"] == "PERMISSION_DENIED"
        wrong = await house.ask("mcp.server.trust", server="one", digest="other")
        assert "was not looked at as it is now" in wrong["message"]
        assert Pins(house.runtime.paths, "mcp").names() == []


async def test_what_is_forgotten_ends(tmp_path: Path) -> None:
    async with open_house(tmp_path, one=scripted("plain")) as house:
        await house.announced("one:echo")
        await house.ask("mcp.server.forget", server="one")
        await house.state("one", "untrusted")
        await house.announced("one:echo", there=False)
        again = await house.ask("mcp.server.forget", server="one")
        assert again["message"] == "nothing was accepted of 'one'"
