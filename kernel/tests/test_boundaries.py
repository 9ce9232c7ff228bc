"""What the kernel offers to those who carry events out of the process and back."""

from __future__ import annotations

import msgspec
import pytest
from loom_kernel import Encoded, Envelope, Host, InvalidEnvelope, PayloadNotSerializable

pytestmark = pytest.mark.anyio


async def test_encoded_json_is_not_read_before_somebody_asks(host: Host) -> None:
    received = host.subscribe("a")
    text = b'{"x": 1.50,  "big": 12345678901234567890123}'
    await host.publish("a", Encoded(text))
    (event,) = await received.receive_many(10)
    assert event.payload == text
    assert event.data["x"] == 1.5
    assert event.payload == text


async def test_encoded_text_that_is_no_json_fails_for_who_reads_it(host: Host) -> None:
    received = host.subscribe("a")
    await host.publish("a", Encoded(b"{"))
    (event,) = await received.receive_many(1)
    with pytest.raises(InvalidEnvelope, match="not JSON"):
        _ = event.data


@pytest.mark.feature("ENV-01")
@pytest.mark.parametrize("data", [{"a": [1, None]}, b"\x00", None, Encoded(b"[1]"), "text"])
async def test_a_packed_envelope_survives_the_wire(host: Host, data: object) -> None:
    received = host.subscribe("a")
    await host.publish("a", data, "kind", labels=["l"], metadata={"k": "v"}, reply_to="b", ttl=3)
    (event,) = await received.receive_many(1)
    wire = msgspec.msgpack.encode(event.packed())
    back = msgspec.msgpack.decode(wire, type=Envelope)
    assert back.packed() is back
    assert back.to_json() == event.to_json()


async def test_data_without_a_json_form_cannot_be_packed(host: Host) -> None:
    received = host.subscribe("a")
    await host.publish("a", object())
    (event,) = await received.receive_many(1)
    with pytest.raises(PayloadNotSerializable):
        event.packed()


async def test_receive_many_takes_what_is_there_in_order_and_no_more(host: Host) -> None:
    received = host.subscribe("a")
    for number in range(5):
        await host.publish("a", number)
    await host.publish("a", 9, priority=90)
    taken = await received.receive_many(3)
    assert [event.data for event in taken] == [9, 0, 1]
    assert [event.data for event in await received.receive_many(10)] == [2, 3, 4]
    assert received.stats().delivered == 6
    received.close()
    assert await received.receive_many(1) == []


async def test_a_handler_that_returns_or_fails_has_settled_its_event(host: Host) -> None:
    settled: list[int] = []

    async def handle(event: Envelope) -> None:
        if event.data == 1:
            raise ValueError("no")

    received = host.on("a", handler=handle)
    received.on_settled = lambda event, _: settled.append(event.data)
    for number in range(3):
        await host.publish("a", number)
    await received.wait_idle()
    while len(settled) < 3:
        await host.clock.sleep(0)
    assert settled == [0, 1, 2]


async def test_who_asks_for_the_next_event_is_done_with_the_one_before(host: Host) -> None:
    settled: list[int] = []
    received = host.subscribe("a")
    received.on_settled = lambda event, _: settled.append(event.data)
    for number in range(2):
        await host.publish("a", number)
    await received.receive()
    assert settled == []
    await received.receive()
    assert settled == [0]


async def test_an_inbox_is_private_and_new_each_time(host: Host) -> None:
    one, two = host.world.bus.new_inbox(), host.world.bus.new_inbox()
    assert one != two
    with host.subscribe(one) as received:
        await host.publish("ask", reply_to=one)
        await host.publish(one, "answer")
        (reply,) = await received.receive_many(1)
    assert reply.data == "answer"
