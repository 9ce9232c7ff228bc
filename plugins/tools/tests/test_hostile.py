"""Callers, tools and schemas that misbehave: each call gets an answer, and none comes past."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom.contracts import ToolCall
from loom_kernel import NoResponders

pytestmark = pytest.mark.anyio


@pytest.mark.feature("TOOL-01")
async def test_a_tool_cannot_be_called_past_the_broker(workshop: Any) -> None:
    workshop.offer("text:keep")
    await workshop.open()
    for topic in ("tool.provider.workshop", "tool.provider.workshop.call", "tool.call.started"):
        forged = ToolCall("text:keep", {"text": "x"}, id="1", version="1.0", caller="somebody")
        with pytest.raises(NoResponders):
            await workshop.caller.request(topic, forged)
    assert workshop.ran == []


@pytest.mark.corpus
@pytest.mark.feature("TOOL-03")
@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/nope"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"type": "nonsense"}}},
        {"properties": {"a": {"pattern": "(?<=a)(b"}}},
        {"required": "a"},
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused_when_it_is_announced(
    workshop: Any, schema: dict[str, Any]
) -> None:
    workshop.offer("text:odd", parameters=schema)
    await workshop.provider.start()
    refused = await workshop.events.wait_for("tool.provider.refused")
    assert refused[0].data["tool"] == "text:odd"
    assert await workshop.listed() == []


@pytest.mark.feature("TOOL-02")
async def test_a_pattern_that_would_take_for_ever_does_not(workshop: Any) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}}}
    workshop.offer("text:slow", parameters=schema)
    await workshop.open()
    began = workshop.caller.clock.monotonic()
    refused = await workshop.refused("text:slow", {"text": "a" * 50_000 + "!"})
    assert refused.code == "INVALID_PARAMS"
    assert workshop.caller.clock.monotonic() - began < 5.0


@pytest.mark.feature("TOOL-03")
async def test_a_cancellation_that_a_tool_leaks_is_its_failure(workshop: Any) -> None:
    async def leak(call: ToolCall) -> Any:
        raise asyncio.CancelledError

    workshop.offer("text:leaky", leak)
    await workshop.open()
    refused = await workshop.refused("text:leaky", timeout=2)
    assert (refused.code, "CancelledError" in refused.message) == ("ACTION_ERROR", True)


async def test_a_negative_timeout_is_a_wrong_parameter(workshop: Any) -> None:
    workshop.offer("text:keep")
    await workshop.open()
    assert (await workshop.refused("text:keep", timeout=-1)).code == "INVALID_PARAMS"
