"""One session: what a client in another process can do, and what it is told."""

from __future__ import annotations

import asyncio

import pytest
from loom.bridge import connect
from loom_kernel import Encoded, Envelope, Host, InvalidTopic, NoResponders, RequestTimeout
from loom_kernel.testing import wait_until

from plugins.bridge.tests.conftest import SCHEMES, Site

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carrier", list(SCHEMES))]


async def listening(site: Site, topic: str, count: int = 1) -> None:
    """Wait until so many subscriptions would get *topic*."""

    def known() -> bool:
        subscriptions = site.runtime.status()["subscriptions"]
        return sum(topic in one["patterns"] for one in subscriptions) == count

    await wait_until(known)


@pytest.mark.feature("BRG-02")
async def test_publish_and_receive_on_one_connection(site: Site) -> None:
    client = await site.join("alice")
    with client.subscribe("market.*") as market:
        await listening(site, "market.*")
        await site.host.publish("market.gold", {"price": 7}, "tick", subject="XAU", tags=["a"])
        event = await market.receive()
    assert event is not None
    assert (event.topic, event.type, event.data) == ("market.gold", "tick", {"price": 7})
    assert (event.subject, event.tags, event.sender) == ("XAU", ("a",), "outside")


@pytest.mark.feature("BRG-02")
async def test_what_a_client_publishes_bears_its_own_name(site: Site) -> None:
    client = await site.join("alice")
    await client.publish("news.today", {"text": "hello"}, "story", priority=70, labels=["rumour"])
    event = await site.told("news.today")
    assert (event.sender, event.priority) == ("alice", 70)
    assert event.labels == {"rumour"}
    assert event.data == {"text": "hello"}
    assert event.source.endswith("/alice")


@pytest.mark.corpus
@pytest.mark.parametrize("data", [None, 0, "text", [1, 2.5, {"a": None}], b"\x00\xff", {"é": "ü"}])
async def test_data_arrives_as_it_was_handed_in(site: Site, data: object) -> None:
    sender, receiver = await site.join("a"), await site.join("b")
    with receiver.subscribe("data") as incoming:
        await listening(site, "data")
        await sender.publish("data", data)
        event = await incoming.receive()
    assert event is not None
    assert event.data == data
    assert type(event.data) is type(data)


async def test_a_payload_is_passed_on_byte_for_byte(site: Site) -> None:
    text = b'{ "big": 12345678901234567890123, "x": 1.10 }'
    sender, receiver = await site.join("a"), await site.join("b")
    with receiver.subscribe("raw") as incoming:
        await listening(site, "raw")
        await sender.publish("raw", Encoded(text))
        event = await incoming.receive()
    assert event is not None
    assert event.payload == text


@pytest.mark.feature("ENV-01")
@pytest.mark.feature("ENV-04")
async def test_an_event_is_the_same_on_both_sides(site: Site) -> None:
    """Each reserved name has the same value for a reader in process and one behind the bridge."""
    client = await site.join("far")
    with client.subscribe("same") as incoming:
        await listening(site, "same")
        await site.host.publish(
            "same", [1], "kind", subject="s", priority=60, confidence=0.5, metadata={"k": "v"},
            reply_to="answers", thread_id="t", correlation_id="c", ttl=9, budget={"usd": 2.0},
            tags=["x"], labels=["l"], content_type="application/json",
        )  # fmt: skip
        await site.host.publish("same")
        await site.told("same", count=2)
        there = [await incoming.receive(), await incoming.receive()]
    here = site.events.on("same")
    for one, other in zip(here, there, strict=True):
        assert other is not None
        assert other.to_json() == one.to_json()


@pytest.mark.feature("ENV-02")
async def test_an_event_that_bounces_between_processes_dies_after_16_hops(site: Site) -> None:
    ping, pong = await site.join("ping"), await site.join("pong")
    hops: list[int] = []

    async def bounce(host: Host, to: str, event: Envelope) -> None:
        hops.append(event.hop)
        await host.publish(to, event.data)

    ping.on("to.ping", handler=lambda event: bounce(ping, "to.pong", event))
    pong.on("to.pong", handler=lambda event: bounce(pong, "to.ping", event))
    await listening(site, "to.pong")
    await listening(site, "to.ping")
    await ping.publish("to.pong", "ball")
    error = await site.told("$loom.error")
    assert error.data["error"] == "HopLimitExceeded"
    assert hops == list(range(16))


@pytest.mark.feature("ENV-04")
async def test_one_trace_spans_publisher_and_consumer_in_different_processes(site: Site) -> None:
    one, two = await site.join("one"), await site.join("two")

    async def answer(event: Envelope) -> None:
        await two.publish("second", event.trace_id)

    two.on("first", handler=answer)
    await listening(site, "first")
    await one.publish("first")
    first = await site.told("first")
    second = await site.told("second")
    assert second.data == first.trace_id == second.trace_id
    assert second.causation_id == first.id
    assert second.thread_id == first.thread_id


@pytest.mark.feature("COL-01")
@pytest.mark.feature("COL-02")
async def test_a_request_inside_a_handler_is_answered(site: Site) -> None:
    asker, middle, last = await site.join("asker"), await site.join("middle"), await site.join("z")

    async def ask_further(event: Envelope) -> None:
        reply = await middle.request("last", event.data + 1)
        await middle.reply(event, reply.data + 1)

    async def answer(event: Envelope) -> None:
        await last.reply(event, event.data + 1)

    middle.on("middle", handler=ask_further)
    last.on("last", handler=answer)
    await listening(site, "middle")
    await listening(site, "last")
    reply = await asker.request("middle", 1)
    assert reply.data == 4
    assert reply.correlation_id == (await site.told("middle")).correlation_id


@pytest.mark.feature("COL-01")
async def test_a_request_that_nobody_answers_times_out_and_is_told(site: Site) -> None:
    client = await site.join("alice")
    with site.host.subscribe("deaf"), pytest.raises(RequestTimeout):
        await client.request("deaf", timeout=0.05)
    told = await site.told("$loom.request.timed_out")
    assert (told.data["topic"], told.data["sender"]) == ("deaf", "alice")


async def test_a_request_that_nobody_hears_fails_at_once(site: Site) -> None:
    client = await site.join("alice")
    with pytest.raises(NoResponders):
        await client.request("nobody.there", timeout=60)


async def test_a_wrong_topic_is_refused_where_it_is_written(site: Site) -> None:
    client = await site.join("alice")
    with pytest.raises(InvalidTopic):
        await client.publish("a..b")


@pytest.mark.feature("RT-05")
async def test_subscriptions_come_and_go_without_a_new_registration(site: Site) -> None:
    client = await site.join("alice")
    incoming = client.subscribe("one")
    incoming.add("two")
    await listening(site, "two")
    await site.host.publish("two", "heard")
    event = await incoming.receive()
    assert event is not None
    assert event.data == "heard"
    incoming.remove("two")
    await listening(site, "two", 0)
    incoming.close()
    await listening(site, "one", 0)
    assert site.record("alice").epoch == 1


@pytest.mark.feature("COL-09")
async def test_a_thousand_requests_leave_no_subscription(site: Site) -> None:
    asker, answerer = await site.join("asker"), await site.join("answerer")
    answerer.on("ask", handler=lambda event: answerer.reply(event, event.data))
    await listening(site, "ask")
    before = site.subscriptions()
    for number in range(1000):
        assert (await asker.request("ask", number)).data == number
    with pytest.raises(NoResponders):
        await asker.request("nobody")
    assert site.subscriptions() == before


@pytest.mark.feature("BRG-01")
async def test_an_agent_is_in_the_directory_until_it_leaves(site: Site) -> None:
    async with connect(site.address, agent="alice", metadata={"team": "red"}) as client:
        client.subscribe("orders.>", name="agent:alice")
        await wait_until(lambda: "orders.>" in site.record("alice").topics)
        record = site.record("alice")
        assert (record.kind, record.status, record.epoch) == ("remote", "active", 1)
        assert record.topics == ("agent.alice.replies", "orders.>")
        assert record.metadata == {"team": "red"}
        reply = await client.request("agent.list", {"topic": "orders.new"})
        assert [found["id"] for found in reply.data["agents"]] == ["alice"]
    await site.told("agent.alice.deleted")
    reply = await site.host.request("agent.list")
    assert reply.data["agents"] == []


async def test_a_slow_client_makes_its_publisher_wait_and_nobody_else(site: Site) -> None:
    slow = await site.join("slow")
    gate = asyncio.Event()
    handled: list[int] = []

    async def handle(event: Envelope) -> None:
        await gate.wait()
        handled.append(event.data)

    slow.on("work", handler=handle, capacity=10)
    await listening(site, "work")
    flood = site.host.spawn(_flood(site.host, 50), "flood")
    await wait_until(lambda: site.runtime.status()["queued"] >= 10)
    assert not flood.done()
    await site.host.publish("other")
    gate.set()
    await flood
    await wait_until(lambda: len(handled) == 50)
    assert handled == list(range(50))


async def _flood(host: Host, count: int) -> None:
    for number in range(count):
        await host.publish("work", number)


async def test_what_was_published_before_a_clean_end_arrives(site: Site) -> None:
    for number in range(20):
        async with connect(site.address, token=site.token) as client:
            for part in range(100):
                await client.publish("last.words", (number, part))
    events = site.events.on("last.words")
    assert [tuple(event.data) for event in events] == [
        (n, p) for n in range(20) for p in range(100)
    ]
