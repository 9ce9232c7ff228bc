"""Publish and subscribe: who gets what, once, with which fields."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from loom_kernel import (
    BusClosed,
    Envelope,
    Host,
    InvalidEnvelope,
    InvalidTopic,
    PayloadNotSerializable,
    PayloadTooLarge,
    Runtime,
)
from loom_kernel.testing import running, wait_until

pytestmark = pytest.mark.anyio


@pytest.mark.feature("BUS-01")
async def test_an_event_arrives_once_at_each_subscriber(host: Host, take: Any) -> None:
    first, second = host.subscribe("news.local"), host.subscribe("news.local")
    host.subscribe("news.foreign")
    assert await host.publish("news.local", {"n": 1}) == 2
    for subscription in (first, second):
        (event,) = await take(subscription, 1)
        assert (event.topic, event.data) == ("news.local", {"n": 1})
        assert subscription.queued == 0


@pytest.mark.feature("BUS-01")
async def test_publishing_to_nobody_counts_nobody(host: Host) -> None:
    assert await host.publish("nobody.listens") == 0
    assert host.publish_nowait("nobody.listens") == 0


@pytest.mark.feature("BUS-01")
async def test_events_arrive_in_the_order_of_publishing(host: Host, take: Any) -> None:
    received = host.subscribe("count")
    for number in range(600):
        await host.publish("count", number)
    assert [event.data for event in await take(received, 600)] == list(range(600))


@pytest.mark.feature("BUS-01")
async def test_publishing_does_not_run_the_handler(host: Host) -> None:
    handled: list[int] = []

    async def handle(event: Envelope) -> None:
        handled.append(event.data)

    host.on("count", handler=handle)
    for number in range(10):
        await host.publish("count", number)
    assert handled == []
    await wait_until(lambda: handled == list(range(10)))


@pytest.mark.feature("BUS-01")
async def test_a_closed_subscription_receives_no_more(host: Host) -> None:
    with host.subscribe("count") as subscription:
        assert await host.publish("count") == 1
    assert await host.publish("count") == 0
    assert await subscription.receive() is None


@pytest.mark.feature("BUS-01")
async def test_iterating_ends_when_the_subscription_is_closed(host: Host) -> None:
    seen = []
    async with host.subscribe("count") as subscription:
        await host.publish("count", 1)
        await host.publish("count", 2)
        async for event in subscription:
            seen.append(event.data)
            if event.data == 2:
                subscription.close()
    assert seen == [1, 2]


@pytest.mark.feature("BUS-02")
async def test_the_nine_fields_survive_the_way(host: Host, take: Any) -> None:
    received = host.subscribe("parcel")
    before = host.clock.time()
    await host.publish(
        "parcel", b"\x00\xff", "parcel.sent",
        metadata={"to": "Ada"}, confidence=0.25, tags=["a", "b"], priority=7,
    )  # fmt: skip
    (event,) = await take(received, 1)
    assert event.type == "parcel.sent"
    assert before <= event.time <= host.clock.time()
    assert event.source == "loom://local/alice"
    assert event.metadata == {"to": "Ada"}
    assert event.payload == b"\x00\xff"
    assert (event.confidence, event.tags, event.priority) == (0.25, ("a", "b"), 7)
    wire = json.loads(event.to_json())
    assert wire["id"] == event.id
    assert wire["data_base64"] == "AP8="
    assert (wire["tags"], wire["metadata"]) == (["a", "b"], {"to": "Ada"})
    assert (wire["priority"], wire["confidence"], wire["source"]) == (7, 0.25, event.source)


@pytest.mark.feature("BUS-02")
async def test_the_type_is_the_topic_unless_said_otherwise(host: Host, take: Any) -> None:
    received = host.subscribe("door.opened")
    await host.publish("door.opened")
    await host.publish("door.opened", None, "knock")
    assert [event.type for event in await take(received, 2)] == ["door.opened", "knock"]


@pytest.mark.feature("BUS-02")
async def test_the_data_is_the_value_handed_in(host: Host, take: Any) -> None:
    received, value = host.subscribe("thing"), object()
    await host.publish("thing", value)
    (event,) = await take(received, 1)
    assert event.data is value


@pytest.mark.corpus
@pytest.mark.feature("BUS-03")
@pytest.mark.parametrize(
    ("pattern", "topic", "is_received"),
    [
        ("market.price.*", "market.price.BTC", True),
        ("market.price.*", "market.price.BTC.usd", False),
        ("market.price.*", "market.other", False),
        ("market.*.BTC", "market.price.BTC", True),
        ("*.price.BTC", "market.price.BTC", True),
        ("market.>", "market.price.BTC.usd", True),
        ("market.>", "market", False),
        (">", "market", True),
        ("market.price", "market.PRICE", False),
        ("hotkey.*", "hotkey.ctrl+space", True),
    ],
)
async def test_a_pattern_receives(host: Host, pattern: str, topic: str, is_received: bool) -> None:
    with host.subscribe(pattern) as subscription:
        assert await host.publish(topic) == subscription.queued == is_received


@pytest.mark.feature("BUS-03")
async def test_overlapping_patterns_give_one_copy(host: Host) -> None:
    received = host.subscribe("a.b", "a.*", "*.b", "a.>", ">", "a.b")
    assert await host.publish("a.b") == 1
    assert received.queued == 1


@pytest.mark.feature("BUS-03")
@pytest.mark.parametrize("topic", ["a.*", "a.>", "", "a..b", "a b", ".a", "a.", "a\n", "a." * 200])
async def test_what_is_no_topic_is_refused(host: Host, topic: str) -> None:
    everything = host.subscribe(">")
    with pytest.raises(InvalidTopic) as refused:
        await host.publish(topic)
    assert refused.value.topic == topic
    assert repr(topic) in str(refused.value)
    with pytest.raises(InvalidTopic):
        host.publish_nowait(topic)
    assert everything.queued == 0


@pytest.mark.feature("BUS-03")
@pytest.mark.parametrize("pattern", ["a.b*", "a.>.b", "", "a..b", "a b", "**"])
async def test_what_is_no_pattern_is_refused(host: Host, pattern: str) -> None:
    with pytest.raises(InvalidTopic):
        host.subscribe("fine", pattern)
    assert host.status()["subscriptions"] == []


@pytest.mark.feature("BUS-10")
async def test_only_listed_types_arrive(host: Host, take: Any) -> None:
    received = host.subscribe("door.>", types=["opened", "closed"])
    taken = [await host.publish("door.front", kind, kind) for kind in ("opened", "knock", "closed")]
    assert taken == [1, 0, 1]
    assert [event.type for event in await take(received, 2)] == ["opened", "closed"]
    assert received.stats().offered == 2


@pytest.mark.feature("BUS-10")
async def test_a_full_subscription_of_other_types_holds_up_nobody(host: Host) -> None:
    host.subscribe("door", types=["opened"], capacity=1)
    assert host.publish_nowait("door", 1, "opened") == 1
    assert host.publish_nowait("door", 2, "closed") == 0


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"priority": 101}, "priority", "0 to 100"),
        ({"priority": -1}, "priority", "0 to 100"),
        ({"confidence": 1.5}, "confidence", "0 to 1"),
        ({"confidence": math.nan}, "confidence", "0 to 1"),
        ({"ttl": 0}, "ttl", "1 to 16"),
        ({"ttl": 17}, "ttl", "1 to 16"),
        ({"sender": "mallory"}, "sender", "not a field"),
        ({"hop": 3}, "hop", "not a field"),
        ({"causation_id": "x"}, "causation_id", "not a field"),
    ],
)
async def test_a_wrong_field_is_named(
    host: Host, fields: dict[str, Any], field: str, problem: str
) -> None:
    everything = host.subscribe(">")
    with pytest.raises(InvalidEnvelope, match=problem) as refused:
        await host.publish("a", **fields)
    assert refused.value.field == field
    assert everything.queued == 0


async def test_a_payload_over_the_limit_is_refused() -> None:
    async with running(config={"bus": {"max_payload": 10}}) as runtime:
        host = runtime.host("alice")
        everything = host.subscribe(">", capacity=4)
        for data in (b"x" * 11, "x" * 11):
            with pytest.raises(PayloadTooLarge, match="publish a reference") as refused:
                await host.publish("a", data)
            assert (refused.value.size, refused.value.limit) == (11, 10)
        assert await host.publish("a", b"x" * 10) == 1
        assert everything.queued == 1


async def test_data_without_a_json_form_is_told_when_bytes_are_asked_for(
    host: Host, take: Any
) -> None:
    received = host.subscribe("a")
    await host.publish("a", object())
    (event,) = await take(received, 1)
    with pytest.raises(PayloadNotSerializable, match="use plain data or bytes"):
        _ = event.payload


async def test_after_the_end_publishing_is_refused() -> None:
    async with running() as runtime:
        host = runtime.host("alice")
    with pytest.raises(BusClosed, match="is stopping"):
        await host.publish("a")


@pytest.mark.parametrize(
    "options",
    [
        {"qos": "fast"}, {"overflow": "explode"}, {"overflow": "sample:0"}, {"capacity": -1},
        {"qos": "realtime", "overflow": "block"}, {"overflow": "sample:x"},
    ],
)  # fmt: skip
async def test_a_wrong_option_is_refused(runtime: Runtime, options: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        runtime.host("alice").subscribe("a", **options)
    assert runtime.bus.subscriptions() == []
