"""Request and reply: one private inbox a call, and an answer in any case."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom_kernel import Envelope, Host, NoResponders, RequestTimeout, Runtime
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual, running

pytestmark = pytest.mark.anyio


def answer(host: Host, topic: str) -> None:
    """Reply with twice what is asked."""

    async def handle(event: Envelope) -> None:
        await host.reply(event, event.data * 2)

    host.on(topic, handler=handle)


@pytest.mark.feature("COL-01")
async def test_the_reply_carries_the_correlation_of_the_request(host: Host, other: Host) -> None:
    events = EventRecorder(host, "double")
    answer(other, "double")
    reply = await host.request("double", 21, correlation_id="order-7")
    (asked,) = events.on("double")
    assert (reply.data, reply.type, reply.sender) == (42, "reply", "bob")
    assert reply.correlation_id == asked.correlation_id == "order-7"
    assert (reply.thread_id, reply.causation_id) == (asked.thread_id, asked.id)


@pytest.mark.feature("COL-01")
async def test_concurrent_requests_get_their_own_replies(host: Host, other: Host) -> None:
    answer(other, "double")
    replies = await asyncio.gather(*(host.request("double", n) for n in range(200)))
    assert [reply.data for reply in replies] == [2 * n for n in range(200)]


@pytest.mark.feature("COL-01")
def test_no_reply_is_a_timeout_and_an_event() -> None:
    async def main() -> None:
        async with running(clock=VirtualClock()) as runtime:
            host = runtime.host("alice")
            events = EventRecorder(host, "$loom.request.>")
            unheard = host.subscribe("double")
            began = host.clock.monotonic()
            with pytest.raises(RequestTimeout, match="within 3 s") as late:
                await host.request("double", timeout=3.0)
            assert host.clock.monotonic() - began == pytest.approx(3.0)
            assert (late.value.topic, late.value.timeout) == ("double", 3.0)
            (told,) = events.on("$loom.request.timed_out")
            assert told.data == {"topic": "double", "timeout": 3.0, "sender": "alice"}
            host.publish_nowait("double", "fresh")
            event = await unheard.receive()
            assert event is not None
            assert event.data == "fresh", "what nobody waits for any more is not delivered"

    run_virtual(main)


@pytest.mark.feature("COL-01")
async def test_nobody_there_is_told_at_once(host: Host) -> None:
    with pytest.raises(NoResponders, match="'double'"):
        await host.request("double", timeout=60)


@pytest.mark.feature("COL-01")
async def test_a_reply_that_comes_too_late_reaches_nobody(host: Host, other: Host) -> None:
    asked: list[Envelope] = []

    async def keep(event: Envelope) -> None:
        asked.append(event)

    other.on("double", handler=keep)
    with pytest.raises(RequestTimeout):
        await host.request("double", 1, timeout=0.01)
    assert await other.reply(asked[0], 2) == 0


@pytest.mark.feature("COL-02")
async def test_a_handler_may_ask_and_even_ask_itself_through_another(
    host: Host, other: Host
) -> None:
    answer(other, "double")

    async def relay(event: Envelope) -> None:
        inner = await host.request("double", event.data)
        await host.reply(event, inner.data + 1)

    host.on("relay", handler=relay)
    assert (await other.request("relay", 20)).data == 41


@pytest.mark.feature("COL-02")
async def test_handlers_that_ask_each_other_do_not_lock_up(host: Host, other: Host) -> None:
    """The first asks the second, which while it is asked asks the first's other subscription."""
    answer(host, "age")

    async def describe(event: Envelope) -> None:
        age = await other.request("age", 4)
        await other.reply(event, f"is {age.data}")

    async def introduce(event: Envelope) -> None:
        said = await host.request("describe")
        await host.reply(event, f"Ada {said.data}")

    other.on("describe", handler=describe)
    host.on("introduce", handler=introduce)
    assert (await other.request("introduce")).data == "Ada is 8"


@pytest.mark.feature("COL-02")
async def test_a_handler_that_waits_for_itself_ends_with_a_timeout(
    host: Host, runtime: Runtime
) -> None:
    outcome: list[Any] = []

    async def ask_self(event: Envelope) -> None:
        if event.data == "inner":
            return
        with pytest.raises(RequestTimeout) as late:
            await host.request("mirror", "inner", timeout=0.05)
        outcome.append(late.value.topic)
        await host.reply(event, "survived")

    host.on("mirror", handler=ask_self)
    assert (await runtime.host("eve").request("mirror", "outer")).data == "survived"
    assert outcome == ["mirror"]


@pytest.mark.feature("COL-09")
async def test_a_thousand_requests_leave_no_subscription(host: Host, runtime: Runtime) -> None:
    answer(host, "double")
    host.subscribe("silence", qos="realtime")
    before = [known.name for known in runtime.bus.subscriptions()]
    for n in range(1000):
        if n % 100:
            assert (await host.request("double", n)).data == 2 * n
        else:
            with pytest.raises(RequestTimeout):
                await host.request("silence", timeout=0.001)
    assert [known.name for known in runtime.bus.subscriptions()] == before
    assert not [known for known in runtime.bus.topics() if known.topic.startswith("$inbox.0")]


@pytest.mark.feature("COL-09")
async def test_a_cancelled_request_leaves_no_subscription(host: Host, runtime: Runtime) -> None:
    host.subscribe("silence")
    before = len(runtime.bus.subscriptions())
    asking = host.spawn(host.request("silence", timeout=60), "ask")
    await asyncio.sleep(0)
    assert len(runtime.bus.subscriptions()) == before + 1
    asking.cancel()
    await asyncio.wait([asking])
    assert len(runtime.bus.subscriptions()) == before
