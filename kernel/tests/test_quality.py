"""Quality of service: who waits, who loses what, and that every loss is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from loom_kernel import BackpressureTimeout, Envelope, Host, Runtime, SubscriptionStats
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until

pytestmark = pytest.mark.anyio


def balance(stats: SubscriptionStats) -> int:
    return stats.offered - stats.delivered - sum(stats.dropped.values()) - stats.expired


@pytest.mark.feature("BUS-04")
async def test_realtime_never_blocks_and_counts_the_excess(host: Host, take: Any) -> None:
    received = host.subscribe("tick", qos="realtime")
    for number in range(1000):
        host.publish_nowait("tick", number)  # would raise if it had to wait
    stats = received.stats()
    assert stats.dropped == {"overflow": 1000 - 64}
    assert stats.queued == balance(stats) == 64
    first, *rest = await take(received, 64)
    assert first.dropped_before == 1000 - 64
    assert [event.data for event in (first, *rest)] == list(range(936, 1000))
    assert {event.dropped_before for event in rest} == {0}


@pytest.mark.feature("BUS-05")
async def test_batched_slows_the_publisher_and_loses_nothing(host: Host) -> None:
    ahead: list[int] = []
    got: list[int] = []
    published = 0

    async def handle(event: Envelope) -> None:
        ahead.append(published - event.data)
        await asyncio.sleep(0)
        got.append(event.data)

    received = host.on("work", handler=handle, capacity=32)
    for number in range(2000):
        await host.publish("work", number)
        published = number + 1
    await wait_until(lambda: len(got) == 2000)
    assert got == list(range(2000))
    assert max(ahead) <= 32 + 1
    assert received.stats().dropped == {}


@pytest.mark.feature("BUS-05")
async def test_two_thousand_background_events_wait_for_a_late_consumer(
    host: Host, take: Any
) -> None:
    received = host.subscribe("work", qos="background")
    for number in range(2000):
        host.publish_nowait("work", number)
    assert [event.data for event in await take(received, 2000)] == list(range(2000))


@pytest.mark.feature("BUS-05")
async def test_publish_nowait_tells_when_it_would_have_to_wait(host: Host) -> None:
    full = host.subscribe("work", capacity=1, name="slowcoach")
    free = host.subscribe("work", qos="realtime")
    host.publish_nowait("work", 1)
    with pytest.raises(BackpressureTimeout, match="slowcoach"):
        host.publish_nowait("work", 2)
    assert full.queued == free.queued == 1


@pytest.mark.feature("BUS-05")
def test_a_publisher_gives_up_in_the_end_and_says_on_whom() -> None:
    async def main() -> None:
        limits = {"bus": {"credit_timeout": 7.0}}
        async with running(clock=VirtualClock(), config=limits) as runtime:
            host = runtime.host("alice")
            stuck = host.subscribe("work", capacity=1, name="stuck")
            free = host.subscribe("work")
            await host.publish("work", 1)
            began = host.clock.monotonic()
            with pytest.raises(BackpressureTimeout, match="stuck") as told:
                await host.publish("work", 2)
            assert host.clock.monotonic() - began == pytest.approx(7.0)
            assert (told.value.topic, told.value.subscription) == ("work", "stuck")
            assert free.queued == 2, "the others have it"
            assert stuck.stats().dropped == {"timeout": 1}
            assert balance(stuck.stats()) == stuck.queued == 1

    run_virtual(main)


@pytest.mark.feature("BUS-05")
async def test_credit_is_given_in_the_order_of_asking(host: Host, take: Any) -> None:
    received = host.subscribe("work", capacity=1)
    async with asyncio.TaskGroup() as publishers:
        for number in range(20):
            publishers.create_task(host.publish("work", number))
        assert [event.data for event in await take(received, 20)] == list(range(20))


@pytest.mark.feature("BUS-05")
@pytest.mark.feature("BUS-09")
async def test_a_subscription_that_has_room_again_need_not_wait_for_a_stalled_one(
    host: Host, take: Any
) -> None:
    stalled, quick = host.subscribe("work", capacity=1), host.subscribe("work", capacity=1)
    await host.publish("work", 1)
    async with asyncio.TaskGroup() as publishers:
        publishers.create_task(host.publish("work", 2))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert [event.data for event in await take(quick, 2)] == [1, 2]
        assert stalled.queued == 1
        await take(stalled, 1)


@pytest.mark.feature("BUS-05")
async def test_room_made_while_the_publisher_waits_for_another_is_not_missed(
    host: Host, take: Any
) -> None:
    first, second = host.subscribe("work", capacity=1), host.subscribe("work", capacity=1)
    await host.publish("work", 1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as publishers:
        publishers.create_task(host.publish("work", 2))
        await asyncio.sleep(0)
        await take(second, 1)
        await take(first, 1)
    assert (first.queued, second.queued) == (1, 1)


@pytest.mark.feature("BUS-05")
def test_room_made_at_the_last_moment_is_not_counted_twice() -> None:
    async def main() -> None:
        limits = {"bus": {"credit_timeout": 7.0}}
        async with running(clock=VirtualClock(), config=limits) as runtime:
            host = runtime.host("alice")
            received = host.subscribe("work", capacity=1)
            await host.publish("work", 1)
            loop = asyncio.get_running_loop()

            def make_room() -> None:
                with pytest.raises(StopIteration):
                    received.receive().send(None)

            loop.call_at(loop.time() + 7.0, make_room)
            assert await host.publish("work", 2) == 1
            stats = received.stats()
            assert stats.dropped == {}
            assert balance(stats) == stats.queued == 1

    run_virtual(main)


@pytest.mark.feature("BUS-06")
@pytest.mark.parametrize(
    ("qos", "size"), [("realtime", 64), ("batched", 1024), ("background", 4096)]
)
async def test_the_default_sizes(host: Host, qos: Any, size: int) -> None:
    received = host.subscribe("work", qos=qos, overflow="drop-newest")
    for number in range(size + 5):
        host.publish_nowait("work", number)
    assert (received.queued, received.dropped) == (size, {"overflow": 5})


@pytest.mark.feature("BUS-06")
async def test_the_configuration_moves_the_point_of_loss() -> None:
    sizes = {"realtime": 3, "batched": 5, "background": 7}
    async with running(config={"bus": sizes}) as runtime:
        host = runtime.host("alice")
        default = {
            qos: host.subscribe("work", qos=qos, overflow="drop-newest")  # type: ignore[arg-type]  # the three names
            for qos in sizes
        }
        own = host.subscribe("work", capacity=2, overflow="drop-newest")
        for _ in range(10):
            host.publish_nowait("work")
        assert {qos: kept.queued for qos, kept in default.items()} == sizes
        assert own.queued == 2


@pytest.mark.feature("BUS-07")
async def test_above_the_threshold_only_realtime_is_shed() -> None:
    async with running(config={"bus": {"threshold": 100}}) as runtime:
        host = runtime.host("alice")
        kept = host.subscribe("work", capacity=1000)
        shed = host.subscribe("work", qos="realtime", capacity=1000)
        for _ in range(200):
            await host.publish("work")
        dropped = shed.dropped["backpressure"]
        assert shed.dropped == {"backpressure": dropped}
        assert shed.queued + dropped == 200
        assert 100 <= kept.queued + shed.queued - (200 - 50) <= 110
        assert (kept.queued, kept.dropped) == (200, {})
        while kept.queued:
            await kept.receive()
        await host.publish("work")
        assert shed.dropped == {"backpressure": dropped}, "the pressure is over"


@pytest.mark.feature("BUS-08")
@pytest.mark.parametrize(
    ("overflow", "kept", "dropped"),
    [
        ("drop-newest", [0, 1, 2], {"overflow": 7}),
        ("drop-oldest", [7, 8, 9], {"overflow": 7}),
        ("sample:4", [0, 4, 8], {"sampled": 7}),
    ],
)
async def test_what_each_policy_keeps(
    host: Host, take: Any, overflow: str, kept: list[int], dropped: dict[str, int]
) -> None:
    received = host.subscribe("work", capacity=3, overflow=overflow)
    for number in range(10):
        await host.publish("work", number)
    stats = received.stats()
    assert stats.dropped == dropped
    assert stats.overflow == overflow
    assert stats.offered == 10
    assert balance(stats) == stats.queued == 3
    assert [event.data for event in await take(received, 3)] == kept


@pytest.mark.feature("BUS-08")
async def test_latest_per_key_keeps_one_a_key(host: Host, take: Any) -> None:
    received = host.subscribe("price", overflow="latest-per-key", capacity=2)
    for number, key in enumerate("ABABA"):
        await host.publish("price", number, subject=key)
    assert received.stats().dropped == {"superseded": 3}
    await host.publish("price", 9, subject="C")
    assert received.stats().dropped == {"superseded": 3, "overflow": 1}
    assert balance(received.stats()) == received.queued == 2
    assert [event.data for event in await take(received, 2)] == [3, 9]


@pytest.mark.feature("BUS-08")
async def test_the_key_may_be_chosen(host: Host, take: Any) -> None:
    received = host.subscribe("price", overflow="latest-per-key", key=lambda e: e.data[0])
    for data in (("A", 1), ("B", 2), ("A", 3)):
        await host.publish("price", data)
    assert sorted(event.data[1] for event in await take(received, 2)) == [2, 3]


@pytest.mark.feature("BUS-09")
async def test_a_stalled_batched_subscriber_holds_up_only_its_publisher(host: Host) -> None:
    stalled = host.subscribe("shared", capacity=1)
    seen: Counter[str] = Counter()

    async def handle(event: Envelope) -> None:
        seen[event.topic] += 1

    host.on("shared", "own", handler=handle)
    await host.publish("shared")
    async with asyncio.TaskGroup() as publishers:
        waiting = publishers.create_task(host.publish("shared"))
        for _ in range(100):
            await host.publish("own")
        await wait_until(lambda: seen == {"shared": 2, "own": 100})
        assert not waiting.done()
        stalled.close()


@pytest.mark.feature("BUS-12")
async def test_higher_priority_comes_first_within_the_backlog(host: Host, take: Any) -> None:
    received = host.subscribe("work")
    for number, priority in enumerate([50, 10, 90, 50, 100, 0, 90]):
        await host.publish("work", number, priority=priority)
    order = [event.data for event in await take(received, 7)]
    assert order == [4, 2, 6, 0, 3, 1, 5]


@pytest.mark.feature("BUS-12")
async def test_priority_is_honoured_by_a_handler_too(host: Host) -> None:
    seen: list[int] = []

    async def handle(event: Envelope) -> None:
        seen.append(event.priority)

    host.on("work", handler=handle)
    for priority in (50, 10, 90, 50):
        await host.publish("work", priority=priority)
    await wait_until(lambda: seen == [90, 50, 50, 10])


@pytest.mark.feature("BUS-12")
async def test_a_full_backlog_loses_the_oldest_of_the_lowest_priority(
    host: Host, take: Any
) -> None:
    received = host.subscribe("work", qos="realtime", capacity=3)
    for priority in (10, 90, 10, 50, 60):
        await host.publish("work", priority=priority)
    assert [event.priority for event in await take(received, 3)] == [90, 60, 50]


async def test_what_has_expired_is_not_delivered(host: Host, runtime: Runtime) -> None:
    received = host.subscribe("work")
    await host.publish("work", "late", expires=host.clock.time() - 1)
    await host.publish("work", "in time", expires=host.clock.time() + 60)
    event = await received.receive()
    assert event is not None
    assert event.data == "in time"
    assert received.stats().expired == 1
    assert balance(received.stats()) == 0
    (topic,) = [known for known in runtime.bus.topics() if known.topic == "work"]
    assert (topic.expired, topic.delivered) == (1, 1)


def test_a_gap_is_told_although_the_next_event_has_expired() -> None:
    async def main() -> None:
        async with running(clock=VirtualClock()) as runtime:
            host = runtime.host("alice")
            seen: list[tuple[str, int]] = []

            async def handle(event: Envelope) -> None:
                seen.append((event.data, event.dropped_before))

            received = host.subscribe("work", qos="realtime", capacity=2)
            soon = host.clock.time() + 1
            for name in ("a", "b", "c", "d"):
                await host.publish("work", name, expires=soon)
            await host.clock.sleep(2)
            await host.publish("work", "e")
            host.spawn(received.serve(handle), "reader")
            await wait_until(lambda: seen)
            assert seen == [("e", 3)]

    run_virtual(main)


async def test_two_consumers_of_one_subscription_are_refused(host: Host) -> None:
    received = host.subscribe("work", name="mine")
    waiting = host.spawn(received.receive(), "first")
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="'mine' already has a consumer"):
        await received.receive()
    received.close()
    assert await waiting is None
