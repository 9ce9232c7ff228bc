"""A plugin in a process of its own, as its caller, its author and its owner see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom.plugin.wire import pb
from loom_kernel.testing import check_plugin_contract
from loom_plugin_process.answers import covers, hold
from loom_plugin_process.program import read_programs

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


@pytest.mark.feature("PLG-04", "PLG-05")
async def test_a_plugin_of_all_four_types_does_what_each_is_for(tmp_path: Path) -> None:
    grants = {"subscribe": [">"], "publish": ["audio.*"], "settings": {"voice": "hey"}}
    async with house(tmp_path, {"all": program("all_types.py", **grants)}) as home:
        record = await home.reached("all", "running")
        assert record["types"] == ["feature-extractor", "model-backend", "tool", "actuator"]
        assert (await home.call("all:loudness", samples=[0.5, -2.0])).output == 2.0
        await home.caller.publish("audio.frame", [0.25, -0.5], labels={"private"})
        (loudness,) = await home.events.wait_for("audio.loudness")
        assert (loudness.data, loudness.confidence, loudness.tags) == (0.5, 0.5, ("derived",))
        assert "private" in loudness.labels, "what it says is as private as what it heard"
        answer = await home.caller.request("model.asked", "say something")
        assert (answer.data, answer.sender) == ({"text": "hey!"}, "all")
        await home.caller.publish("model.asked", "say something", reply_to="lamp.on")
        await home.events.wait_for("plugin.refused")
        assert not home.events.on("lamp.on"), "nobody makes a plugin say what it may not"
        await home.caller.publish("lamp.wanted")
        await home.caller.request("model.asked")  # events come one after the other
        assert (await home.record("all"))["events"] == {"handled": 5, "failed": 0, "published": 3}


@pytest.mark.feature("PLG-04", "SEC-05")
def test_a_type_is_what_a_plugin_may_be() -> None:
    (granted,) = read_programs({"x": {"command": ["x"], "subscribe": [">"]}}).values()
    tool = pb.InitResponse(types=[pb.PLUGIN_TYPE_TOOL], patterns=["a"])
    tool.tools.add(name="x:y", parameters=b"{}")
    assert [refusal[:2] for refusal in hold(granted, tool).refused] == [("subscribe", "a")]
    actuator = pb.InitResponse(types=[pb.PLUGIN_TYPE_ACTUATOR], patterns=["a"], tools=tool.tools)
    assert [refusal[:2] for refusal in hold(granted, actuator).refused] == [("tool", "x:y")]
    unknown: list[list[Any]] = [[], [0], [99]]
    for types in unknown:
        answer = hold(granted, pb.InitResponse(types=types, tools=tool.tools))
        assert [refusal.asked for refusal in answer.refused] == ["type"]
        assert not answer.tools
    wrong = pb.InitResponse(types=[pb.PLUGIN_TYPE_TOOL])
    wrong.tools.add(name="x:y", parameters=b"{")
    wrong.tools.add(name="", parameters=b"{}")
    wrong.tools.add(name="x:z", timeout=-1.0)
    wrong.tools.add(name="x:ok")
    wrong.tools.add(name="x:ok")
    answer = hold(granted, wrong)
    assert [tool.name for tool in answer.tools] == ["x:ok"]
    assert len(answer.refused) == 4


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        (">", "a.b", True), ("a.>", "a.*.c", True), ("a.*", "a.>", False), ("*.b", "a.b", True),
        ("a.*", "a.*", True), ("a.b", "a.*", False), ("a.>", "a", False), ("a.>", "a.>", True),
    ],
)  # fmt: skip
def test_a_pattern_lies_within_another(wide: str, narrow: str, is_covered: bool) -> None:
    assert covers(wide, narrow) is is_covered


@pytest.mark.feature("PLG-03")
async def test_one_that_talks_without_end_is_slowed_down(tmp_path: Path) -> None:
    words = program("words.py", events=50)
    async with house(tmp_path, {"words": words}) as home:
        await home.reached("words", "running")
        result = await home.call("words:spell", 20.0, text="x" * 100)
        assert result.output == 100
        assert result.duration > 0.8, "50 at once, and 50 a second"
