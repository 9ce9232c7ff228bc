"""What the journal lets go of, in virtual time: nothing that somebody still needs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import Runtime
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until
from loom_plugin_journal.proof import SEGMENT

from plugins.journal.tests.clerk import Clerk

DAY = 86_400.0
CONFIG = {"plugins": {"journal": {"keep": 7}}}


async def publish(runtime: Runtime, count: int, **fields: Any) -> None:
    shop = runtime.host("shop")
    for start in range(0, count, 512):
        numbers = range(start, min(start + 512, count))
        await asyncio.gather(*(shop.publish("order", n, **fields) for n in numbers))


def records(runtime: Runtime) -> float:
    return runtime.health()["journal"].metrics["records"]


@pytest.mark.feature("STO-03")
def test_old_records_go_when_all_are_done_with_them(tmp_path: Path) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running("journal", state=tmp_path, clock=clock, config=CONFIG) as runtime:
            clerk, slow = Clerk(runtime.host("clerk")), Clerk(runtime.host("slow"))
            clerk.consume("order")
            slow.consume("order", durable="slow").close()
            await publish(runtime, SEGMENT + 10)
            await asyncio.sleep(6 * DAY)
            slow.consume("order", durable="slow").close()  # it was there: it is not forgotten
            await asyncio.sleep(3 * DAY)
            assert records(runtime) == SEGMENT + 10, "one has not handled them"
            slow.consume("order", durable="slow")
            await wait_until(lambda: len(slow.given) == SEGMENT + 10, timeout=600)
            await asyncio.sleep(DAY / 12)
            assert records(runtime) == 10

    run_virtual(main)


@pytest.mark.feature("STO-03")
def test_who_was_away_for_long_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running("journal", state=tmp_path, clock=clock, config=CONFIG) as runtime:
            Clerk(runtime.host("clerk")).consume("order").close()
            await publish(runtime, 3)
            await asyncio.sleep(8 * DAY)
            owner = runtime.host("cli")
            assert (await owner.request("journal.status")).data["consumers"] == []
            await publish(runtime, 3)
            late = Clerk(runtime.host("clerk"))
            late.consume("order")
            await publish(runtime, 1)
            await wait_until(lambda: late.given == [0])

    run_virtual(main)


@pytest.mark.feature("TOOL-05")
def test_idempotency_keys_are_known_for_a_day(tmp_path: Path) -> None:
    key = {"metadata": {"idempotency-key": "k"}}

    async def main() -> None:
        clock = VirtualClock()
        async with running("journal", state=tmp_path, clock=clock, config=CONFIG) as runtime:
            clerk = Clerk(runtime.host("clerk"))
            clerk.consume("order")
            for pause in (DAY / 2, DAY, 0.0):
                await publish(runtime, 1, **key)
                await asyncio.sleep(pause + 1)
            assert clerk.given == [0, 0], "the second time was a repetition, the third is too late"

    run_virtual(main)
