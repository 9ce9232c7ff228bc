"""What the tools of `tools.json` do, for the tiers that run Python."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import ToolDescriptor

Tell = Callable[[float, float, str], Awaitable[None]]
Handler = Callable[[Mapping[str, Any], Tell], Awaitable[Any]]


def descriptors(provider: str) -> list[ToolDescriptor]:
    """The tools, as a provider of that kind announces them."""
    found = json.loads(Path(__file__).with_name("tools.json").read_text("utf-8"))
    return [msgspec.convert({**tool, "provider": provider}, ToolDescriptor) for tool in found]


async def echo(arguments: Mapping[str, Any], tell: Tell) -> Any:
    return arguments["value"]


async def add(arguments: Mapping[str, Any], tell: Tell) -> int:
    total: int = arguments["a"] + arguments["b"]
    return total


async def fail(arguments: Mapping[str, Any], tell: Tell) -> None:
    raise RuntimeError(arguments["message"])


async def sleep(arguments: Mapping[str, Any], tell: Tell) -> Any:
    await asyncio.sleep(arguments["seconds"])
    return arguments.get("value")


async def big(arguments: Mapping[str, Any], tell: Tell) -> str:
    size: int = arguments["size"]
    return "x" * size


async def steps(arguments: Mapping[str, Any], tell: Tell) -> int:
    count: int = arguments["count"]
    for step in range(1, count + 1):
        await asyncio.sleep(arguments.get("pause", 0.0))
        await tell(step, count, f"step {step}")
    return count


async def crash(arguments: Mapping[str, Any], tell: Tell) -> None:
    os._exit(13)


HANDLERS: dict[str, Handler] = {
    "kit:echo": echo,
    "kit:add": add,
    "kit:fail": fail,
    "kit:sleep": sleep,
    "kit:big": big,
    "kit:steps": steps,
    "kit:crash": crash,
}
