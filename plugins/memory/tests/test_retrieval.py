"""What fits a query: by words, by meaning, the recent first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom.contracts import ContextItem, PlanRecord
from loom.memory import MemoryRefused
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until
from loom_plugin_memory.embedders.hashing import vector_of
from loom_plugin_memory.retrieval import Weights, fused

from plugins.memory.tests.conftest import Start, memory_of

SAID = [
    "The user prefers invoices in PDF format",
    "Deployment failed because the disk was full",
    "Anna moved the meeting to Thursday",
    "The printer on the second floor is broken",
    "Two customers asked for a refund of their orders",
    "Backups run every night at three",
]
ASKED = {
    "preferred invoicing format": 0,
    "why do deployments fail": 1,
    "when is my meeting with Anna": 2,
    "which printers are broken": 3,
    "customer asking to refund an order": 4,
    "at what time does the backup run": 5,
}


@pytest.mark.anyio
@pytest.mark.feature("STO-02")
@pytest.mark.parametrize("driver", ["exact"])
async def test_a_paraphrase_finds_the_memory(life: Start, driver: str) -> None:
    async with life(config={"plugins": {"memory": {"vectors": driver}}}) as runtime:
        memory = memory_of(runtime, "ada")
        for text in SAID:
            await memory.append_event(text)
        for query, wanted in ASKED.items():
            assert (await memory.retrieve(query))[0].text == SAID[wanted], query
        assert await memory.retrieve("zebra quantum") == []


@pytest.mark.anyio
@pytest.mark.feature("STO-02")
async def test_parts_of_words_are_found_by_meaning_alone(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        await memory.append_event("Rechnungsversand an Kunden")
        await memory.append_event("the sun rose over the hill")
        assert [one.text for one in await memory.retrieve("Kundenrechnung")] == [
            "Rechnungsversand an Kunden"
        ]


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
async def test_plans_and_context_are_found_too_and_filters_hold(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        await memory.append_event("the harvest was good", {"kind": "event", "year": "1"})
        plan = PlanRecord(subject="harvest", action="SELL", metadata={"kind": "plan"})
        await memory.save_plan(plan)
        item = ContextItem(text="harvest of apples", metadata={"kind": "item", "year": "1"})
        await memory.save_context([item])
        assert len(await memory.retrieve("harvest")) == 3
        assert len(await memory.retrieve("harvest", filters={"year": "1"})) == 2
        (found,) = await memory.retrieve("harvest", filters={"kind": "plan"})
        assert found.text == "SELL harvest"
        assert await memory.retrieve("harvest", filters={"kind": "none"}) == []
        assert len(await memory.retrieve("harvest", 1)) == 1
        assert len(await memory.retrieve("")) == 3


def test_the_recent_comes_first_among_equals() -> None:
    async def ask() -> None:
        async with running("memory", clock=VirtualClock()) as runtime:
            memory = memory_of(runtime, "ada")
            for day in range(3):
                await memory.append_event("the same was said again", {"day": str(day)})
                await runtime.host("test").clock.sleep(7 * 86_400)
            found = await memory.retrieve("said again")
            assert [item.metadata["day"] for item in found] == ["2", "1", "0"]
            newest = await memory.retrieve("")
            assert [item.metadata["day"] for item in newest] == ["2", "1", "0"]
            assert newest[0].score == pytest.approx(0.8 + 0.2 / 2, abs=1e-3)
            assert newest[1].score == pytest.approx(0.8 + 0.2 / 4, abs=1e-3)

    run_virtual(ask)


def test_the_formula_is_the_documented_one() -> None:
    assert fused([7, 8], [8]) == {7: 1 / 61, 8: 1 / 62 + 1 / 61}
    weights = Weights(half_life=2.0, recency=0.5)
    assert weights.of_age(0) == weights.of_age(-5) == 1
    assert weights.of_age(2 * 86_400) == pytest.approx(0.75)
    assert weights.of_age(1e9) == pytest.approx(0.5)


ODD = ['"', "a AND b", "NEAR(a b)", "session:1", "*", "^a", "a-b", "{text}: x", "x" * 60_000, "'"]


@pytest.mark.anyio
async def test_no_query_is_a_command(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        await memory.append_event("a plain text")
        for query in (*ODD, "\x00", "\N{ZERO WIDTH SPACE}", "١٢٣", "\U0001f600 plain"):
            for item in await memory.retrieve(query):
                assert item.text == "a plain text"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.sampled_from([64, 100, 512]))
def test_every_text_has_a_vector(text: str, dimension: int) -> None:
    assert len(vector_of(text, dimension)) == 4 * dimension
    assert vector_of(text, dimension) == vector_of(text, dimension)


@pytest.mark.anyio
async def test_an_answer_that_is_too_long_says_so(life: Start) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        for number in range(20):
            await memory.append_event(f"word{number} " + "long " * 13_000)
        with pytest.raises(MemoryRefused, match=r"BUDGET_EXCEEDED: .*ask for less"):
            await memory.retrieve("long", 100)
        assert len(await memory.retrieve("long", 3)) == 3


@pytest.mark.anyio
async def test_many_ask_at_once_and_the_end_is_orderly(
    life: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        host = runtime.host("crowd")
        done: list[Any] = []

        async def ask(number: int) -> None:
            await memory.append_event(f"event {number}")
            done.append(await memory.retrieve(f"event {number}", 1))

        for number in range(100):
            host.spawn(ask(number), "ask")
        await wait_until(lambda: len(done) == 100, timeout=30)
        for number in range(20):
            await host.publish("memory.event.append", {"session_id": "s", "text": str(number)})
    assert "ERROR" not in caplog.text
    async with life() as runtime:
        assert (await memory_of(runtime, "ada").summarize()).events == 100
