"""What a durable consumer is promised: every event, in order, until it is done with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from loom.contracts import HandlerTimeout, Reject, Retry
from loom_kernel import BackpressureTimeout, Envelope, LoomError, PayloadNotSerializable
from loom_kernel.testing import EventRecorder, wait_until

from plugins.journal.tests.clerk import Clerk, Start

pytestmark = pytest.mark.anyio
SOON: dict[str, float] = {"deliveries": 3}


@pytest.mark.feature("BUS-05")
async def test_what_was_published_while_nobody_consumed_is_delivered_in_order(life: Start) -> None:
    async with life() as runtime:
        Clerk(runtime.host("first")).consume("order.*").close()
        publisher = runtime.host("shop")
        for number in range(2000):
            await publisher.publish("order.placed", number)
    async with life() as runtime:
        clerk = Clerk(runtime.host("second"))
        clerk.consume("order.*")
        await wait_until(lambda: len(clerk.given) == 2000)
        assert clerk.given == list(range(2000))


@pytest.mark.feature("BUS-05")
async def test_what_is_done_with_is_not_delivered_again(life: Start) -> None:
    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*")
        for number in range(10):
            await runtime.host("shop").publish("order.placed", number)
        await wait_until(lambda: len(clerk.given) == 10)
    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*")
        await runtime.host("shop").publish("order.placed", "new")
        await wait_until(lambda: bool(clerk.given))
        assert clerk.given == ["new"]


@pytest.mark.feature("X-05")
async def test_what_was_amid_its_handling_comes_again_and_first(life: Start) -> None:
    begun = asyncio.Event()

    async def never_done(envelope: Envelope) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"), never_done)
        clerk.consume("order.*")
        for number in range(3):
            await runtime.host("shop").publish("order.placed", number)
        await begun.wait()
        await clerk.host.aclose()
    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*")
        await wait_until(lambda: len(clerk.given) == 3)
        assert clerk.given == [0, 1, 2]


@pytest.mark.feature("BUS-05")
async def test_a_slow_consumer_keeps_no_publisher_and_no_neighbour_waiting(life: Start) -> None:
    may_go_on = asyncio.Event()
    async with life(config={"plugins": {"journal": {"window": 8}}}) as runtime:
        slow = Clerk(runtime.host("slow"), lambda _: may_go_on.wait())
        slow.consume("order.*", durable="slow")
        quick = Clerk(runtime.host("quick"))
        quick.consume("order.*", durable="quick")
        shop = runtime.host("shop")
        await asyncio.gather(*(shop.publish("order.placed", number) for number in range(500)))
        await wait_until(lambda: len(quick.given) == 500)
        assert len(slow.given) == 1
        stats = next(s for s in runtime.bus.subscriptions() if s.subscriber == "slow")
        assert stats.queued < 8, "the rest stays on the disk"
        may_go_on.set()
        await wait_until(lambda: len(slow.given) == 500)
        assert slow.given == quick.given == list(range(500))


async def test_a_failed_event_comes_again_and_keeps_only_its_own_thread_waiting(
    life: Start,
) -> None:
    def fail_once(envelope: Envelope) -> None:
        if envelope.data == "a1" and clerk.given.count("a1") == 1:
            raise Retry("not yet", 0.5)

    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"), fail_once)
        clerk.consume("order.*")
        shop = runtime.host("shop")
        for data in ("a1", "a2", "b1", "a3", "b2"):
            await shop.publish("order.placed", data, thread_id=data[0])
        await wait_until(lambda: len(clerk.given) == 6)
        assert [d for d in clerk.given if d[0] == "a"] == ["a1", "a1", "a2", "a3"]
        assert clerk.given.index("b2") < clerk.given.index("a2")


async def test_what_fails_too_often_is_given_up_and_told(life: Start) -> None:
    def fail(envelope: Envelope) -> None:
        if envelope.data == "bad":
            raise Retry("never", 0.0)

    async with life(config={"plugins": {"journal": SOON}}) as runtime:
        letters = EventRecorder(runtime.host("witness"), "dlq.>")
        clerk = Clerk(runtime.host("clerk"), fail)
        clerk.consume("order.*")
        for data in ("bad", "good"):
            await runtime.host("shop").publish("order.placed", data, thread_id="t")
        await wait_until(lambda: clerk.given[-1:] == ["good"])
        assert clerk.given == ["bad"] * 3 + ["good"]
        told = (await letters.wait_for("dlq.>"))[0]
        assert told.topic == "dlq.order.placed"
        assert (told.data["failures"], told.data["error"]) == (3, "Retry")


async def test_a_rejected_event_is_given_up_at_once(life: Start) -> None:
    def refuse(envelope: Envelope) -> None:
        raise Reject("no such customer")

    async with life() as runtime:
        letters = EventRecorder(runtime.host("witness"), "dlq.>")
        clerk = Clerk(runtime.host("clerk"), refuse)
        clerk.consume("order.*")
        await runtime.host("shop").publish("order.placed", 1)
        assert (await letters.wait_for("dlq.>"))[0].data["reason"] == "no such customer"
        assert clerk.given == [1]


async def test_a_handler_that_takes_too_long_has_failed(life: Start) -> None:
    async def hang(envelope: Envelope) -> None:
        await asyncio.Event().wait()

    settings = {"ack_wait": 0.02, "deliveries": 1}
    async with life(config={"plugins": {"journal": settings}}) as runtime:
        letters = EventRecorder(runtime.host("witness"), "dlq.>")
        Clerk(runtime.host("clerk"), hang).consume("order.*")
        await runtime.host("shop").publish("order.placed", 1)
        assert (await letters.wait_for("dlq.>"))[0].data["error"] == HandlerTimeout.__name__


async def test_who_asks_for_the_next_is_done_with_the_one_before(life: Start) -> None:
    async with life() as runtime:
        with runtime.host("clerk").subscribe("a", durable="reader") as reader:
            for number in range(3):
                await runtime.host("shop").publish("a", number)
            assert [(await _next(reader)).data for _ in range(2)] == [0, 1]
    async with life() as runtime:
        with runtime.host("clerk").subscribe("a", durable="reader") as reader:
            assert [(await _next(reader)).data for _ in range(2)] == [1, 2]


async def _next(reader: object) -> Envelope:
    envelope: Envelope | None = await reader.receive()  # type: ignore[attr-defined]  # a subscription
    assert envelope is not None
    return envelope


async def test_members_of_a_group_share_the_events(life: Start) -> None:
    async with life() as runtime:
        clerks = [Clerk(runtime.host(name)) for name in ("one", "two")]
        for clerk in clerks:
            clerk.consume("order.*", durable="team", group="team")
        shop = runtime.host("shop")
        await asyncio.gather(*(shop.publish("order.placed", number) for number in range(100)))
        await wait_until(lambda: sum(len(clerk.given) for clerk in clerks) == 100)
        assert sorted(clerks[0].given + clerks[1].given) == list(range(100))
        assert all(clerk.given for clerk in clerks)


async def test_a_name_is_consumed_by_one_unless_they_are_a_group(life: Start) -> None:
    async with life() as runtime:
        Clerk(runtime.host("one")).consume("order.*")
        with pytest.raises(LoomError, match="'clerk' is consumed by 'one'"):
            Clerk(runtime.host("two")).consume("order.*")


async def test_other_types_are_not_delivered(life: Start) -> None:
    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*", types=["big"])
        for data, type in ((1, "small"), (2, "big"), (3, "small"), (4, "big")):
            await runtime.host("shop").publish("order.placed", data, type)
        await wait_until(lambda: len(clerk.given) == 2)
        assert clerk.given == [2, 4]
        assert runtime.health()["journal"].metrics["lag"] == 0


async def test_what_has_expired_is_not_delivered_and_not_left(life: Start) -> None:
    async with life() as runtime:
        Clerk(runtime.host("clerk")).consume("order.*").close()
        shop = runtime.host("shop")
        await shop.publish("order.placed", "old", expires=shop.clock.time() + 0.001)
        await shop.publish("order.placed", "fresh")
    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*")
        await wait_until(lambda: clerk.given == ["fresh"])
        await wait_until(lambda: runtime.health()["journal"].metrics["lag"] == 0)


async def test_what_cannot_be_written_is_refused_to_its_publisher(life: Start) -> None:
    async with life() as runtime:
        Clerk(runtime.host("clerk")).consume("order.*")
        with pytest.raises(PayloadNotSerializable):
            await runtime.host("shop").publish("order.placed", object())


async def test_a_request_is_not_kept_because_nobody_would_wait_for_its_answer(
    life: Start,
) -> None:
    async with life() as runtime:
        host = runtime.host("clerk")

        async def answer(envelope: Envelope) -> None:
            await host.reply(envelope, "yes")

        host.on("question", handler=answer, durable="clerk")
        assert (await runtime.host("shop").request("question")).data == "yes"
        assert runtime.health()["journal"].metrics["records"] == 0


@pytest.mark.feature("TOOL-05")
async def test_a_repeated_event_is_recognised_by_its_key_also_after_a_restart(
    life: Start,
) -> None:
    key = {"idempotency-key": "order-17"}
    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"))
        clerk.consume("order.*")
        for _ in range(2):
            await runtime.host("shop").publish("order.placed", 1, metadata=key)
        await wait_until(lambda: bool(clerk.given))
    async with life() as runtime:
        again = Clerk(runtime.host("clerk"))
        again.consume("order.*")
        await runtime.host("shop").publish("order.placed", 1, metadata=key)
        await runtime.host("shop").publish("order.placed", 2)
        await wait_until(lambda: bool(again.given))
        assert clerk.given + again.given == [1, 2]


@pytest.mark.feature("X-05")
async def test_what_a_handler_published_before_it_failed_is_not_published_twice(
    life: Start,
) -> None:
    async def pass_on(envelope: Envelope) -> None:
        host = clerk.host
        for name in ("first", "second", "second"):
            await host.publish("parcel.sent", name)
        if len(clerk.given) == 1:
            raise Retry("fell over at the end", 0.0)

    async with life() as runtime:
        clerk = Clerk(runtime.host("clerk"), pass_on)
        clerk.consume("order.*")
        driver = Clerk(runtime.host("driver"))
        driver.consume("parcel.*", durable="driver")
        await runtime.host("shop").publish("order.placed", 1)
        await wait_until(lambda: len(clerk.given) == 2 and len(driver.given) == 3)
        await runtime.host("shop").publish("parcel.sent", "last")
        await wait_until(lambda: driver.given[-1:] == ["last"])
        assert driver.given == ["first", "second", "second", "last"]
        await wait_until(lambda: runtime.health()["journal"].metrics["repeated"] == 3)


@pytest.mark.feature("BUS-05")
async def test_publishers_wait_when_the_slowest_consumer_is_too_far_behind(life: Start) -> None:
    may_go_on = asyncio.Event()
    settings = {"max_lag": 1000, "window": 4}
    config = {"plugins": {"journal": settings}, "bus": {"credit_timeout": 0.5}}
    async with life(config=config) as runtime:
        clerk = Clerk(runtime.host("clerk"), lambda _: may_go_on.wait())
        clerk.consume("order.*")
        shop = runtime.host("shop")
        published = 0
        with suppress(BackpressureTimeout):
            for number in range(2000):
                await shop.publish("order.placed", number)
                published += 1
        assert 1000 <= published <= 1010
        with pytest.raises(BackpressureTimeout):
            shop.publish_nowait("order.placed", 0)
        may_go_on.set()
        await wait_until(lambda: len(clerk.given) == published)
