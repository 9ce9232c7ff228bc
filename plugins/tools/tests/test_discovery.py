"""Finding the few tools that fit among many."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from loom import Context, ToolProvider
from loom.contracts import SEARCH, ToolDescriptor

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-19")]

VERBS = ("create", "list", "update", "delete", "archive", "export", "summarise", "translate")
THINGS = (
    "invoice", "customer", "calendar event", "photo", "playlist", "recipe", "ticket", "contract",
    "shipment", "meeting note", "sensor reading", "bookmark", "podcast", "budget", "passport",
)  # fmt: skip


def schema(thing: str) -> dict[str, Any]:
    properties = {
        f"{thing.replace(' ', '_')}_{part}": {
            "type": "string", "description": f"The {part} of the {thing}, as it is stored",
        }
        for part in ("id", "title", "owner", "status", "created_after", "created_before")
    }  # fmt: skip
    return {"type": "object", "properties": properties, "additionalProperties": False}


async def offered(workshop: Any, many: int) -> None:
    for number in range(many):
        verb, thing = VERBS[number % 8], THINGS[number // 8 % 15]
        name = f"{thing.replace(' ', '_')}s{number // 120}:{verb}"
        workshop.offer(name, description=f"{verb} a {thing}", parameters=schema(thing))
    workshop.provider._limit = many
    await workshop.open()


def tokens(tools: list[ToolDescriptor]) -> int:
    """About as many as models count: four characters each."""
    told = [{"n": t.name, "d": t.description, "p": t.parameters} for t in tools]
    return len(json.dumps(told)) // 4


async def test_five_hundred_tools_cost_a_model_a_twentieth(workshop: Any) -> None:
    await offered(workshop, 500)
    ctx = Context(workshop.caller, "caller")
    told = await ctx.tools("translate the recipe for my guests")
    assert told[0] == SEARCH
    assert told[1].name.startswith("recipes")
    assert told[1].name.endswith(":translate")
    assert len(told) == 9
    assert tokens(told) <= 0.05 * tokens(await workshop.listed())


async def test_the_search_is_a_tool_that_a_model_can_call(workshop: Any) -> None:
    await offered(workshop, 120)
    ctx = Context(workshop.caller, "caller")
    found = await ctx.tool("tools:search", {"query": "archiving passports", "limit": 3})
    assert found["tools"][0]["name"] == "passports0:archive"
    assert len(found["tools"]) == 3
    assert found["tools"][0]["parameters"] == schema("passport")


async def test_few_tools_are_all_told_the_best_first_and_the_search_is_not(workshop: Any) -> None:
    await offered(workshop, 4)
    told = [tool.name for tool in await Context(workshop.caller, "caller").tools("delete it")]
    assert told[0] == "invoices0:delete"
    assert sorted(told) == [tool.name for tool in await workshop.listed()]


async def test_tools_that_come_and_go_are_found_and_not_found(workshop: Any) -> None:
    await offered(workshop, 24)
    ctx = Context(workshop.caller, "caller")
    assert (await ctx.tools("export calendar"))[1].name == "calendar_events0:export"
    for tool in await workshop.listed():
        workshop.provider.remove(tool.name)
    workshop.offer("camera:shoot", description="take a photo")
    await workshop.provider.announce()
    await workshop.call("camera:shoot")
    assert [tool.name for tool in await ctx.tools("calendar")] == ["camera:shoot"]


@pytest.mark.feature("TOOL-01", "TOOL-03")
async def test_a_call_waits_for_a_tool_that_a_provider_still_loads(workshop: Any) -> None:
    workshop.provider.awaited = frozenset({"text"})
    await workshop.open()
    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(workshop.call("text:echo", {"text": "early"}))
        unknown = tasks.create_task(workshop.refused("text:ehco"))
        await workshop.listed()  # the broker had its turn: both calls wait
        assert (await workshop.refused("number:add")).code == "CAPABILITY_ERROR", "not awaited"
        assert not early.done()
        assert not unknown.done()
        workshop.offer("text:echo")
        await workshop.provider.announce()
        assert (await early).output == {"text": "early"}
        assert not unknown.done()
        workshop.provider.awaited = frozenset()
        await workshop.provider.announce()
        assert (await unknown).code == "CAPABILITY_ERROR"


@pytest.mark.feature("TOOL-01")
async def test_another_name_of_a_tool_is_no_other_tool(workshop: Any) -> None:
    workshop.offer("text:echo")
    workshop.provider.aliases = {"text:say": "text:echo", "text:sing": "text:missing"}
    await workshop.open()
    assert (await workshop.call("text:say", {"text": "hello"})).output == {"text": "hello"}
    assert workshop.ran[0].name == "text:echo", "its provider hears its own name"
    assert [tool.name for tool in await workshop.listed()] == ["text:echo"]
    assert [tool.name for tool in await workshop.listed(name="text:say")] == ["text:echo"]
    for topic in ("tool.call.started", "tool.call.completed"):
        assert [event.data["name"] for event in workshop.events.on(topic)] == ["text:echo"]
    assert (await workshop.refused("text:sing")).code == "CAPABILITY_ERROR"
    workshop.offer("text:say", description="another tool that bears the name")
    await workshop.provider.announce()
    await workshop.call("text:say")
    assert workshop.ran[1].name == "text:say", "who bears a name comes first"


@pytest.mark.feature("TOOL-01")
async def test_nobody_gives_another_name_to_a_strangers_tool(workshop: Any) -> None:
    workshop.offer("text:echo")
    await workshop.open()
    stranger = ToolProvider(workshop.runtime.host("stranger"))
    stranger.aliases = {"text:say": "text:echo"}
    await stranger.start()
    assert (await workshop.refused("text:say")).code == "CAPABILITY_ERROR"
