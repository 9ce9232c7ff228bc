"""Results that are kept for who repeats a call's id: bounded in all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom.contracts import ToolCall
from loom_kernel.testing import running, wait_until

from plugins.tools.tests.conftest import Workshop

pytestmark = [pytest.mark.anyio, pytest.mark.feature("TOOL-05")]
KEPT = 10_000


async def runs_of(bound: int, sizes: dict[str, int], again: list[str]) -> list[str]:
    """The ids that run when *again* is called after results of *sizes*, where *bound* is set."""
    config = {"plugins": {"tools": {"remembered_bytes": bound}}}
    async with running("tools", config=config) as runtime:
        workshop = Workshop(runtime)

        async def fill(call: ToolCall) -> Any:
            return "x" * call.arguments["size"]

        workshop.offer("fill", fill)
        await workshop.open()
        for id, size in sizes.items():
            assert len((await workshop.call("fill", {"size": size}, id=id)).output) == size
        workshop.ran.clear()
        for id in again:
            await workshop.call("fill", {"size": sizes[id]}, id=id)
        return [call.id for call in workshop.ran]


async def test_over_the_size_the_largest_are_forgotten_first() -> None:
    sizes = {"oldest": 100, "large": 7_000, "medium": 4_000, "newest": 100}
    assert await runs_of(KEPT, sizes, ["oldest", "medium", "newest"]) == []
    assert await runs_of(KEPT, sizes, ["large"]) == ["large"]


async def test_one_that_is_larger_than_all_that_is_kept_puts_out_no_other() -> None:
    sizes = {"small": 100, "huge": KEPT + 1, "later": 100}
    assert await runs_of(KEPT, sizes, ["small", "later", "huge", "small"]) == ["huge"]


async def test_a_call_that_runs_is_not_forgotten_however_many_follow() -> None:
    config = {"plugins": {"tools": {"remembered": 1, "remembered_bytes": 0}}}
    async with running("tools", config=config) as runtime:
        workshop = Workshop(runtime)
        release = asyncio.Event()

        async def slow(call: ToolCall) -> str:
            await release.wait()
            return "done"

        workshop.offer("slow", slow)
        workshop.offer("quick")
        await workshop.open()
        first = workshop.caller.spawn(workshop.call("slow", id="one"), "call")
        await wait_until(lambda: len(workshop.ran) == 1)
        for number in range(5):
            await workshop.call("quick", id=f"c{number}")
        again = workshop.caller.spawn(workshop.call("slow", id="one"), "again")
        await wait_until(lambda: runtime.health()["tools"].metrics["repeated"] == 1)
        release.set()
        assert (await first).output == (await again).output == "done"
        assert [call.id for call in workshop.ran].count("one") == 1


async def test_what_is_forgotten_makes_room() -> None:
    sizes = {f"c{number}": 3_000 for number in range(50)}
    assert len(await runs_of(KEPT, sizes, list(sizes))) >= 47
    kept = {"a": 3_000, "b": 3_000, "c": 3_000}
    assert await runs_of(KEPT, kept, list(kept)) == []
