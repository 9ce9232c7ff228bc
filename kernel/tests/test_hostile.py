"""What a subscriber, a filter or the load does to others: nothing, and it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from loom_kernel import Envelope, Host, InvalidEnvelope
from loom_kernel.testing import EventRecorder, running, wait_until

pytestmark = pytest.mark.anyio


@pytest.mark.feature("COL-01")
async def test_a_reply_arrives_although_the_bus_is_under_pressure() -> None:
    config = {"bus": {"threshold": 20}}
    async with running(config=config) as runtime:
        host = runtime.host("asker")
        host.on("question", handler=answering(host))
        host.subscribe("noise", qos="background")
        for number in range(30):
            await host.publish("noise", number)
        reply = await host.request("question", 1)
    assert reply.data == "answer"


def answering(host: Host) -> Callable[[Envelope], Awaitable[None]]:
    async def answer(event: Envelope) -> None:
        await host.reply(event, "answer")

    return answer


@pytest.mark.feature("COL-01")
async def test_of_two_replies_the_first_counts() -> None:
    async with running() as runtime:
        host = runtime.host("asker")

        async def answer_twice(event: Envelope) -> None:
            await host.reply(event, "first")
            await host.reply(event, "second")

        host.on("question", handler=answer_twice)
        assert (await host.request("question")).data == "first"


@pytest.mark.feature("RT-10")
async def test_a_cancellation_that_a_handler_leaks_is_its_failure() -> None:
    async with running() as runtime:
        host = runtime.host("leaky")
        recorder = EventRecorder(host, "$loom.error")
        handled: list[int] = []

        async def handle(event: Envelope) -> None:
            handled.append(event.data)
            if event.data == 1:
                raise asyncio.CancelledError

        subscription = host.on("work", handler=handle)
        for number in (1, 2, 3):
            await host.publish("work", number)
        await wait_until(lambda: handled == [1, 2, 3])
        assert subscription.stats().failed == 1
        (told,) = await recorder.wait_for("$loom.error")
    assert told.data["error"] == "CancelledError"


async def test_a_filter_that_refuses_errors_does_not_end_the_handler() -> None:
    async with running() as runtime:
        host = runtime.host("strict")

        def refuse(envelope: Envelope) -> Envelope:
            raise InvalidEnvelope(envelope.topic, "data", "is refused")

        host.add_filter(refuse, "$loom.error")
        handled: list[int] = []

        async def handle(event: Envelope) -> None:
            handled.append(event.data)
            raise ValueError(event.data)

        host.on("work", handler=handle)
        for number in (1, 2, 3):
            await host.publish("work", number)
        await wait_until(lambda: handled == [1, 2, 3])


async def test_a_key_that_raises_harms_its_subscription_alone() -> None:
    async with running() as runtime:
        host = runtime.host("careless")

        def key(envelope: Envelope) -> str:
            return str(envelope.data["missing"])

        careless = host.subscribe("work", qos="realtime", overflow="latest-per-key", key=key)
        other = host.subscribe("work")
        assert await host.publish("work", {}) == 1
        stats = careless.stats()
        assert (stats.offered, stats.dropped, stats.queued) == (1, {"key": 1}, 0)
        assert other.stats().queued == 1


@pytest.mark.feature("RT-09")
async def test_what_was_not_delivered_is_reported_though_its_plugin_is_gone() -> None:
    config = {"kernel": {"drain_timeout": 0.05}}
    async with running(config=config) as runtime:
        host = runtime.host("slow")
        begun = asyncio.Event()

        async def handle(event: Envelope) -> None:
            begun.set()
            await asyncio.sleep(3600)

        host.on("work", handler=handle, name="slow:work")
        for number in range(5):
            await host.publish("work", number)
        await begun.wait()
        report = await runtime.stop()
        await host.aclose()
    assert report.undelivered == {"slow:work": 4}


@pytest.mark.feature("RT-09")
async def test_the_drain_waits_for_what_a_handler_left_at_work_beside_it() -> None:
    async with running() as runtime:
        host = runtime.host("spawner")
        done: list[str] = []

        async def handle(event: Envelope) -> None:
            subscription.beside += 1

            async def finish() -> None:
                await asyncio.sleep(0.1)
                done.append("work")
                subscription.beside -= 1

            host.spawn(finish(), "beside")

        subscription = host.on("work", handler=handle)
        await host.publish("work")
    assert done == ["work"]


@pytest.mark.feature("RT-10")
async def test_a_task_cannot_exit_the_process() -> None:
    async with running() as runtime:
        host = runtime.host("quitter")
        recorder = EventRecorder(host, "$loom.error")

        async def leave() -> None:
            raise SystemExit(3)

        host.spawn(leave(), "leave")
        (told,) = await recorder.wait_for("$loom.error")
    assert "sys.exit(3)" in told.data["message"]
