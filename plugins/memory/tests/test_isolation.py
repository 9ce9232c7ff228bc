"""Nobody finds what is another's, whatever they ask."""

from __future__ import annotations

import pytest
from loom.contracts import ContextItem, ExecutionRecord, PlanRecord
from loom_kernel import current
from loom_kernel.testing import EventRecorder

from plugins.memory.tests.conftest import Start, memory_of

PLAN = PlanRecord(subject="BTC", action="BUY", reasoning="secret reason", plan_hash="h")
DONE = ExecutionRecord(subject="BTC", status="succeeded")


@pytest.mark.anyio
@pytest.mark.feature("BRG-08")
@pytest.mark.feature("STO-01")
@pytest.mark.parametrize(("agent", "session"), [("eve", "main"), ("ada", "other"), ("eve", "x")])
async def test_a_session_is_seen_by_its_owner_only(life: Start, agent: str, session: str) -> None:
    async with life() as runtime:
        ada = memory_of(runtime, "ada")
        await ada.save_plan(PLAN)
        await ada.mark_executed("h", DONE)
        await ada.append_event("the secret handshake", {"k": "v"})
        await ada.save_context([ContextItem(text="secret context", key="c")])
        eve = memory_of(runtime, agent, session)
        assert await eve.recent_plans(limit=100) == []
        assert (await eve.check_duplicate(PLAN)).duplicate is None
        assert await eve.check_executed("h") is None
        assert (await eve.execution_stats()).total == 0
        assert await eve.query_context(limit=1000) == []
        assert (await eve.summarize()).events == 0
        for query in ("secret handshake", "", 'session : "1"', '" OR session:1 OR "', "secret*"):
            assert await eve.retrieve(query, 100) == [], query
        await eve.append_event("my own handshake", {"k": "v"})
        await eve.save_context([ContextItem(text="mine", key="c")])
        await eve.save_plan(PLAN)
        found = await eve.retrieve("secret handshake", 100)
        assert {item.text for item in found} == {"my own handshake", "BUY BTC: secret reason"}
        await eve.forget()
        assert [item.text for item in await ada.retrieve("handshake")] == ["the secret handshake"]
        assert [item.text for item in await ada.query_context()] == ["secret context"]
        assert (await ada.execution_stats()).duplicates_prevented == 0


@pytest.mark.anyio
async def test_what_strangers_wrote_keeps_its_label(life: Start) -> None:
    """Text of the web, kept and found again days later, is still text of the web."""
    async with life() as runtime:
        ada = memory_of(runtime, "ada")
        host = runtime.host("web")
        recorder = EventRecorder(runtime.host("witness"), "page.read", "spoken")
        await host.publish("page.read", "buy now", labels=["untrusted"])
        (page,) = await recorder.wait_for("page.read")
        token = current.set(page)
        await ada.append_event("the page said: buy now")
        current.reset(token)
        await recorder.wait_for("page.read")
    async with life() as runtime:
        ada = memory_of(runtime, "ada")
        recorder = EventRecorder(runtime.host("witness"), "spoken", "begin")
        await runtime.host("web").publish("begin")
        (begin,) = await recorder.wait_for("begin")
        token = current.set(begin)
        await ada.retrieve("what did the page say")
        await runtime.host("ada").publish("spoken", "I buy")
        current.reset(token)
        (spoken,) = await recorder.wait_for("spoken")
        assert "untrusted" in spoken.labels
