"""The accounts: exact per topic and per subscription, whatever comes and goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom_kernel import Host, Runtime, TopicStats
from loom_kernel.testing import running, wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.feature("BUS-11")]


def topic(runtime: Runtime, name: str) -> TopicStats:
    (found,) = [known for known in runtime.bus.topics() if known.topic == name]
    lost = sum(found.dropped.values()) + found.expired
    assert found.offered == found.delivered + lost + found.backlog
    return found


async def test_a_topic_counts_what_happened_on_it(host: Host, runtime: Runtime, take: Any) -> None:
    reader = host.subscribe("a", "x")
    host.subscribe("*", qos="realtime", capacity=2)
    for _ in range(5):
        await host.publish("a")
    await host.publish("b")
    await take(reader, 3)
    found = topic(runtime, "a")
    assert (found.published, found.offered, found.delivered) == (5, 10, 3)
    assert (found.dropped, found.backlog, found.subscriptions) == ({"overflow": 4}, 3, 2)
    assert topic(runtime, "b").backlog == 1
    assert [known.topic for known in runtime.bus.topics()] == ["$loom.ready", "a", "b"]


async def test_unsubscribing_touches_only_its_own_counts(host: Host, runtime: Runtime) -> None:
    leaving, staying = host.subscribe("a"), host.subscribe("a", "b")
    for _ in range(4):
        await host.publish("a")
    await leaving.receive()
    before = staying.stats()
    leaving.close()
    assert staying.stats() == before
    assert leaving.stats().dropped == {"closed": 3}
    found = topic(runtime, "a")
    assert (found.published, found.offered, found.delivered) == (4, 8, 1)
    assert (found.dropped, found.backlog, found.subscriptions) == ({"closed": 3}, 4, 1)
    assert [known.name for known in runtime.bus.subscriptions()] == ["alice:a,b"]


async def test_a_pattern_taken_back_keeps_what_it_brought(host: Host, runtime: Runtime) -> None:
    received = host.subscribe("a")
    received.add("b")
    assert await host.publish("b") == 1
    received.remove("b")
    assert await host.publish("b") == 0
    assert received.patterns == ("a",)
    assert topic(runtime, "b").backlog == received.queued == 1


async def test_an_event_that_waited_for_room_is_counted_once(host: Host, runtime: Runtime) -> None:
    received = host.subscribe("a", capacity=1)
    await host.publish("a")
    waiting = host.spawn(host.publish("a"), "waits")
    await asyncio.sleep(0)
    assert topic(runtime, "a").offered == 1
    await received.receive()
    assert await waiting == 1
    found = topic(runtime, "a")
    assert (found.published, found.offered, found.delivered, found.backlog) == (2, 2, 1, 1)


async def test_a_publisher_cancelled_after_it_got_room_is_counted(
    host: Host, runtime: Runtime
) -> None:
    received = host.subscribe("a", capacity=1)
    await host.publish("a")
    waiting = host.spawn(host.publish("a"), "waits")
    await asyncio.sleep(0)
    await received.receive()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert received.queued == 1
    assert topic(runtime, "a").delivered == received.delivered == 1


async def test_a_publisher_cancelled_while_it_waits_leaves_nothing(
    host: Host, runtime: Runtime
) -> None:
    received = host.subscribe("a", capacity=1)
    await host.publish("a")
    waiting = host.spawn(host.publish("a"), "waits")
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await received.receive()
    assert received.queued == 0
    assert topic(runtime, "a").offered == received.offered == 1


async def test_failures_of_a_handler_are_deliveries(host: Host, runtime: Runtime) -> None:
    async def fail(event: Any) -> None:
        raise ValueError("no")

    received = host.on("a", handler=fail)
    for _ in range(3):
        await host.publish("a")
    await wait_until(lambda: received.stats().failed == 3)
    assert (received.delivered, topic(runtime, "a").delivered) == (3, 3)


async def test_status_says_the_same_as_the_bus(host: Host, runtime: Runtime) -> None:
    host.subscribe("a", name="mine")
    await host.publish("a")
    status = host.status()
    assert status["queued"] == 1
    (own,) = status["subscriptions"]
    assert (own["name"], own["subscriber"], own["queued"]) == ("mine", "alice", 1)
    assert [known["topic"] for known in status["topics"]] == ["$loom.ready", "a"]


async def test_the_number_of_counted_topics_is_bounded() -> None:
    async with running() as runtime:
        host = runtime.host("alice")
        host.subscribe(">", qos="realtime")
        for number in range(11_000):
            host.publish_nowait(f"many.{number}")
        topics = runtime.bus.topics()
        assert len(topics) <= 10_001
        assert sum(known.published for known in topics) == 11_001
        assert sum(known.backlog for known in topics) == 64
