"""Cuts, half-open lines, second processes: what a session keeps, and who may have it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random

import pytest
from loom.bridge import Refused, connect, messages
from loom_kernel import Envelope
from loom_kernel.testing import wait_until

from plugins.bridge.tests.conftest import SCHEMES, Site
from plugins.bridge.tests.test_session import listening

pytestmark = pytest.mark.anyio
by_each_carrier = pytest.mark.parametrize("carrier", list(SCHEMES))


@by_each_carrier
@pytest.mark.feature("BRG-05")
@pytest.mark.reliability("R18")
async def test_nothing_is_lost_or_doubled_and_order_is_kept_through_cuts(site: Site) -> None:
    cutter = await site.cutter()
    sender = await site.join("sender", address=cutter.address)
    receiver = await site.join("receiver", address=cutter.address)
    got: list[int] = []
    heard: list[int] = []

    async def handle(event: Envelope) -> None:
        got.append(event.data)

    async def hear(event: Envelope) -> None:
        heard.append(event.data)

    receiver.on("down", handler=handle, name="agent:receiver")
    site.host.on("up", handler=hear)
    await listening(site, "down")
    random = Random(7)
    for number in range(3000):
        await sender.publish("up", number)
        await site.host.publish("down", number)
        if random.random() < 0.01:
            cutter.cut()
        if number % 5 == 0:
            await asyncio.sleep(0)
    await wait_until(lambda: len(heard) >= 3000 and len(got) >= 3000, timeout=30)
    assert heard == list(range(3000))
    assert got == list(range(3000))
    assert site.record("receiver").epoch == 1


@by_each_carrier
@pytest.mark.feature("BRG-05")
@pytest.mark.feature("RT-07")
async def test_a_half_open_line_is_noticed_by_both_ends(site: Site) -> None:
    cutter = await site.cutter()
    client = await site.join("alice", address=cutter.address)
    got: list[object] = []

    async def handle(event: Envelope) -> None:
        got.append(event.data)

    client.on("news", handler=handle, name="agent:alice")
    await listening(site, "news")
    cutter.freeze()
    await site.host.publish("news", "while it stands still")
    await wait_until(lambda: site.record("alice").status == "idle")
    await wait_until(lambda: site.record("alice").status == "inactive")
    await wait_until(lambda: site.record("alice").status == "disconnected")
    await site.told("agent.alice.disconnected")
    cutter.cut()
    cutter.thaw()
    await site.told("agent.alice.connected", count=2)
    await wait_until(lambda: got == ["while it stands still"])
    assert site.record("alice").status == "active"


@pytest.mark.feature("RT-07")
async def test_each_heartbeat_moves_the_stamp(site: Site) -> None:
    await site.join("alice")
    first = site.record("alice").last_heartbeat
    await wait_until(lambda: site.record("alice").last_heartbeat > first)


async def test_an_event_not_acknowledged_goes_to_the_next_process(site: Site) -> None:
    one = site.raw()
    await one.hello(agent="worker")
    await one.say(messages.Subscribe(0, ("jobs",)))
    await listening(site, "jobs")
    for number in range(3):
        await site.host.publish("jobs", number)
    delivered = [await one.next(messages.Deliver) for _ in range(3)]
    await one.say(messages.Ack([(1, 1)]))
    await wait_until(lambda: site.record("worker").handled == 1)
    one.cut()
    await site.told("agent.worker.disconnected")
    await site.host.publish("jobs", 3)

    two = site.raw()
    welcome = await two.hello(agent="worker")
    assert welcome.epoch == 2
    await two.say(messages.Subscribe(0, ("jobs",)))
    again = [await two.next(messages.Deliver) for _ in range(3)]
    assert [one.event.data for one in again] == [1, 2, 3]
    assert again[0].again
    assert again[1].again
    assert again[0].event.id == delivered[1].event.id


async def test_an_event_that_ends_three_processes_is_put_aside(site: Site) -> None:
    for _ in range(3):
        victim = site.raw()
        await victim.hello(agent="worker")
        await victim.say(messages.Subscribe(0, ("jobs",)))
        await listening(site, "jobs")
        if not site.events.on("jobs"):
            await site.host.publish("jobs", "poison")
            await site.host.publish("jobs", "fine")
        assert (await victim.next(messages.Deliver)).event.data == "poison"
        victim.cut()
        await wait_until(lambda: site.record("worker").status == "disconnected")
    last = site.raw()
    await last.hello(agent="worker")
    await last.say(messages.Subscribe(0, ("jobs",)))
    assert (await last.next(messages.Deliver)).event.data == "fine"
    assert (await site.told("dlq.jobs")).data == "poison"


async def test_a_second_process_of_a_connected_agent_is_refused(site: Site) -> None:
    await site.join("alice")
    with pytest.raises(Refused, match="connected already") as refused:
        await site.join("alice")
    assert refused.value.code == "ALREADY_EXISTS"


async def test_of_two_processes_that_come_at_once_one_is_let_in(site: Site) -> None:
    clients = [site.raw() for _ in range(4)]
    for client in clients:
        await client.say(messages.Hello(token=site.token, agent="worker"))
    answers = [(await client.frame()).messages[0] for client in clients]
    assert [type(answer) for answer in answers].count(messages.Welcome) == 1
    refused = [answer for answer in answers if isinstance(answer, messages.Failure)]
    assert {failure.code for failure in refused} == {"ALREADY_EXISTS"}
    assert site.record("worker").epoch == 1


async def test_what_waits_for_a_client_that_is_no_agent_is_given_up_sooner(site: Site) -> None:
    """Nobody will come for it, and publishers would wait."""
    one = site.raw()
    await one.hello()
    await one.say(messages.Subscribe(1, ("jobs",), capacity=1, window=1))
    await listening(site, "jobs")
    one.cut()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(4):
        await site.host.publish("jobs", number)
    assert loop.time() - begun < 3.0


@pytest.mark.reliability("R18")
async def test_a_session_that_was_taken_over_is_fenced(site: Site) -> None:
    """The old process's acknowledgements and its return are refused."""
    old = site.raw()
    welcome = await old.hello(agent="worker")
    old.cut()
    await site.told("agent.worker.disconnected")
    new = site.raw()
    await new.hello(agent="worker")
    late = site.raw()
    failure = await late.refused(agent="worker", session=welcome.session, key=welcome.key)
    assert failure.code == "ABORTED"
    assert "taken over" in failure.message


async def test_a_session_cannot_be_resumed_without_its_key(site: Site) -> None:
    one = site.raw()
    welcome = await one.hello(agent="worker")
    one.cut()
    thief = site.raw()
    failure = await thief.refused(agent="worker", session=welcome.session, key="0" * 32)
    assert failure.code == "PERMISSION_DENIED"


@pytest.mark.parametrize("retention", [1.0])
async def test_the_mailbox_of_an_agent_that_does_not_come_back_is_closed(site: Site) -> None:
    one = site.raw()
    await one.hello(agent="worker")
    await one.say(messages.Subscribe(0, ("jobs",)))
    await listening(site, "jobs")
    one.cut()
    await site.events.wait_for("agent.worker.deleted", timeout=10)
    await listening(site, "jobs", 0)


@by_each_carrier
@pytest.mark.reliability("R18")
async def test_connections_that_come_and_go_leave_nothing_behind(site: Site) -> None:
    """Subscriptions, descriptors and sessions are as before; LOOM_TEST_LONG=1 runs 10,000."""
    rounds = 10_000 if os.environ.get("LOOM_TEST_LONG") else 200

    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async with connect(site.address, agent="first"):
        pass
    await site.told("agent.first.deleted")
    before = site.subscriptions(), descriptors()
    for number in range(rounds):
        async with connect(site.address, agent=f"agent-{number % 7}") as client:
            client.subscribe("x")
        await site.host.clock.sleep(0)
        await wait_until(lambda: site.subscriptions() == before[0])
    assert site.subscriptions() == before[0]
    # gRPC's core keeps descriptors of its own for a while; they do not grow with the rounds.
    slack = 64 if site.scheme.startswith("grpc") else 0
    await wait_until(lambda: descriptors() <= before[1] + slack, timeout=30)
