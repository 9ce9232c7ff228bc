"""Who caused what: stamped by the bus from the event whose handling publishes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom_kernel import Envelope, HopLimitExceeded, Host, InvalidEnvelope, Runtime
from loom_kernel.testing import EventRecorder, wait_until

pytestmark = pytest.mark.anyio


def forward(host: Host, source: str, target: str, **fields: Any) -> None:
    """Publish to *target* whenever something comes on *source*."""

    async def handle(event: Envelope) -> None:
        await host.publish(target, event.data, **fields)

    host.on(source, handler=handle)


@pytest.mark.feature("ENV-01")
async def test_all_seven_keys_are_there_on_any_event(host: Host, take: Any) -> None:
    received = host.subscribe("a")
    await host.publish("a", 1)
    (event,) = await take(received, 1)
    assert event.thread_id == event.correlation_id == event.id
    assert event.sender == "alice"
    assert event.reply_to == f"thread.{event.id}.reply"
    assert (event.ttl, event.hop) == (16, 0)
    assert event.ts == int(event.time * 1000)


@pytest.mark.feature("ENV-01")
async def test_an_effect_inherits_from_its_cause(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b")
    forward(other, "a", "b")
    await host.publish("a", thread_id="t1", correlation_id="c1")
    await events.wait_for("b")
    cause, effect = events.events
    assert (effect.thread_id, effect.correlation_id) == ("t1", "c1")
    assert effect.causation_id == cause.id
    assert (effect.ttl, effect.hop) == (15, 1)
    assert effect.sender == "bob"


@pytest.mark.feature("ENV-01")
async def test_iterating_counts_as_handling(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b")
    with other.subscribe("a") as subscription:
        await host.publish("a")
        async for _ in subscription:
            await other.publish("b")
            break
    await other.publish("a")
    first, effect, later = events.events
    assert effect.causation_id == first.id
    assert later.causation_id == "", "after the iteration nothing is its effect"


@pytest.mark.feature("ENV-01")
async def test_what_a_handler_spawns_is_caused_by_the_same_event(host: Host) -> None:
    events = EventRecorder(host, "a", "b")

    async def handle(event: Envelope) -> None:
        host.spawn(later(), "later")

    async def later() -> None:
        await asyncio.sleep(0.01)
        await host.publish("b")

    host.on("a", handler=handle)
    await host.publish("a")
    await events.wait_for("b")
    assert events.on("b")[0].causation_id == events.on("a")[0].id


@pytest.mark.feature("ENV-01")
async def test_interleaved_handlers_are_never_mixed_up(host: Host, runtime: Runtime) -> None:
    """A thousand handlers that wait for each other in between keep their own identities."""
    events = EventRecorder(host, "in.>", "out.>")
    all_in = asyncio.Event()
    waiting = 0

    def serve(name: str) -> None:
        own = runtime.host(name)

        async def handle(event: Envelope) -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 1000:
                all_in.set()
            await all_in.wait()
            await own.publish(f"out.{name}")

        own.on(f"in.{name}", handler=handle)

    for number in range(1000):
        serve(f"n{number}")
    for number in range(1000):
        await host.publish(f"in.n{number}")
    outs = await events.wait_for("out.*", 1000, timeout=30)
    causes = {event.topic: event.id for event in events.on("in.*")}
    assert all(out.sender == out.topic[4:] for out in outs)
    assert all(out.causation_id == causes[f"in.{out.sender}"] for out in outs)


@pytest.mark.feature("ENV-01")
async def test_another_thread_may_be_begun(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b")
    forward(other, "a", "b", thread_id="side")
    await host.publish("a", thread_id="t1", correlation_id="c1")
    await events.wait_for("b")
    _, effect = events.events
    assert (effect.thread_id, effect.correlation_id) == ("side", "side")


@pytest.mark.feature("ENV-02")
async def test_an_event_that_bounces_dies_after_sixteen_hops(host: Host, other: Host) -> None:
    events = EventRecorder(host, "ping", "pong", "$loom.error")
    forward(host, "pong", "ping")
    forward(other, "ping", "pong")
    await host.publish("ping")
    (error,) = await events.wait_for("$loom.error")
    bounced = [event for event in events.events if event.topic != "$loom.error"]
    assert [event.hop for event in bounced] == list(range(16))
    assert [event.ttl for event in bounced] == list(range(16, 0, -1))
    assert error.data["error"] == "HopLimitExceeded"
    assert "probably answer each other" in error.data["message"]


@pytest.mark.feature("ENV-02")
async def test_a_shorter_life_may_be_asked_for_but_no_longer_one(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b", "c")
    forward(other, "a", "b", ttl=16)
    forward(other, "b", "c")
    await host.publish("a", ttl=2)
    await events.wait_for("b")
    assert events.on("b")[0].ttl == 1
    await events.wait_for("b")
    assert events.on("c") == []


@pytest.mark.feature("ENV-02")
async def test_the_limit_is_an_error_at_the_publisher(host: Host) -> None:
    caught: list[HopLimitExceeded] = []

    async def handle(event: Envelope) -> None:
        with pytest.raises(HopLimitExceeded) as stopped:
            await host.publish("b")
        caught.append(stopped.value)

    host.on("a", handler=handle)
    await host.publish("a", ttl=1, thread_id="t")
    await wait_until(lambda: caught)
    assert (caught[0].topic, caught[0].thread_id, caught[0].hop) == ("b", "t", 1)


@pytest.mark.feature("ENV-03")
async def test_an_id_is_enough_to_meet_in_a_thread(host: Host, other: Host, take: Any) -> None:
    broadcast = other.subscribe("thread.t1.broadcast")
    replies = host.subscribe("thread.t1.reply")
    await host.publish("thread.t1.broadcast", "hello", thread_id="t1")
    (event,) = await take(broadcast, 1)
    await other.reply(event, "hi")
    (reply,) = await take(replies, 1)
    assert (reply.data, reply.thread_id, reply.topic) == ("hi", "t1", "thread.t1.reply")


@pytest.mark.feature("ENV-04")
async def test_one_trace_spans_a_chain_of_handlers(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b", "c", "other")
    forward(other, "a", "b")
    forward(host, "b", "c")
    await host.publish("a")
    await host.publish("other")
    await events.wait_for("c")
    traces = {event.topic: event.trace_id for event in events.events}
    assert traces["a"] == traces["b"] == traces["c"] != traces["other"]
    parents = {event.topic: event.traceparent for event in events.events}
    assert len({parent.split("-")[2] for parent in parents.values()}) == 4, "a span each"
    for parent in parents.values():
        version, trace, span, _ = parent.split("-")
        assert (version, len(trace), len(span)) == ("00", 32, 16)
        assert int(trace, 16)
        assert int(span, 16)


async def test_labels_grow_and_never_shrink(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b", "c")
    forward(other, "a", "b", labels=["seen"])
    forward(host, "b", "c", labels=[])
    await host.publish("a", labels=["untrusted"])
    await events.wait_for("c")
    assert events.on("c")[0].labels == {"untrusted", "seen"}


async def test_a_reply_taints_what_its_reader_publishes(host: Host, other: Host) -> None:
    events = EventRecorder(host, "b")

    async def answer(event: Envelope) -> None:
        await other.reply(event, "page", labels=["web"])

    async def read(event: Envelope) -> None:
        await host.request("fetch")
        await host.publish("b")

    other.on("fetch", handler=answer)
    host.on("a", handler=read)
    await host.publish("a", labels=["mail"])
    (event,) = await events.wait_for("b")
    assert event.labels == {"mail", "web"}


async def test_a_budget_is_inherited_and_cannot_be_raised(host: Host, other: Host) -> None:
    events = EventRecorder(host, "a", "b")
    refused: list[str] = []

    async def spend(event: Envelope) -> None:
        with pytest.raises(InvalidEnvelope, match="budget") as told:
            await other.publish("b", budget={"tokens": 101})
        refused.append(str(told.value))
        await other.publish("b", "same")
        await other.publish("b", "less", budget={"tokens": 10})

    other.on("a", handler=spend)
    await host.publish("a", budget={"tokens": 100, "calls": 5})
    same, less = await events.wait_for("b", 2)
    assert len(refused) == 1
    assert same.budget == {"tokens": 100, "calls": 5}
    assert less.budget == {"tokens": 10, "calls": 5}


async def test_a_plugin_cannot_speak_for_another(host: Host, take: Any) -> None:
    received = host.subscribe("a")
    forged: dict[str, Any] = {"source": "loom://local/bob"}
    with pytest.raises(InvalidEnvelope, match="not a field"):
        await host.publish("a", **forged)
    scope = host.scope("carol")
    await scope.publish("a")
    await scope.aclose()
    (event,) = await take(received, 1)
    assert (event.sender, event.source) == ("carol", "loom://local/carol")
