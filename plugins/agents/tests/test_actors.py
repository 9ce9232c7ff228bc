"""Actors: a life cycle that can be seen, a mailbox, one event at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom.contracts import Agents
from loom_kernel import Envelope, Host, LoomError
from loom_kernel.testing import check_plugin_contract, running, wait_until

pytestmark = pytest.mark.anyio


async def ignore(host: Host, event: Envelope) -> None: ...


class Gate:
    """A handler that stands still until it is let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.began: list[Any] = []
        self.ended: list[Any] = []
        self.running = self.most = 0

    async def __call__(self, host: Host, event: Envelope) -> None:
        self.began.append(event.data)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.open.wait()
            self.ended.append(event.data)
        finally:
            self.running -= 1


async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("agents")


@pytest.mark.feature("RT-03")
@pytest.mark.feature("DIR-02")
async def test_each_change_of_state_is_seen_in_the_list_and_in_events(keep: Any) -> None:
    assert (await keep.create("ada", ignore, "job")).state == "running"
    assert await keep.listed() == ["ada"]
    assert (await keep.agents.stop("ada")).state == "stopped"
    assert keep.record("ada").state == "stopped"
    assert await keep.host.publish("job") == 0
    assert (await keep.agents.start("ada")).state == "running"
    assert await keep.host.publish("job") == 1
    await keep.agents.delete("ada")
    assert await keep.listed() == []
    assert keep.told("ada") == ["created", "started", "stopped", "started", "stopped", "deleted"]


@pytest.mark.feature("RT-03")
async def test_an_agent_may_be_created_without_being_started(keep: Any) -> None:
    from loom.contracts import AgentDefinition

    record = await keep.agents.create(AgentDefinition("ada", ignore, ("job",)), start=False)
    assert record.state == "created"
    assert await keep.host.publish("job") == 0


@pytest.mark.feature("RT-03")
async def test_a_second_agent_of_a_live_id_is_refused(keep: Any) -> None:
    await keep.create("ada", ignore, "job")
    with pytest.raises(LoomError, match="'ada' exists already"):
        await keep.create("ada", ignore, "other")
    assert keep.record("ada").topics == ("agent.ada.replies", "job")
    await keep.agents.delete("ada")
    await keep.create("ada", ignore, "other")


@pytest.mark.corpus
@pytest.mark.feature("RT-03")
@pytest.mark.parametrize("id", ["", "a.b", "a b", "*", ">", "a>"])
async def test_an_id_is_one_token(keep: Any, id: str) -> None:
    with pytest.raises(LoomError):
        await keep.create(id, ignore)
    assert keep.agents.find() == []


@pytest.mark.feature("RT-03")
async def test_an_unknown_id_is_named_with_those_there_are(keep: Any) -> None:
    await keep.create("ada", ignore)
    with pytest.raises(LoomError, match="no agent 'bob'; running: ada"):
        await keep.agents.stop("bob")


@pytest.mark.feature("RT-03")
async def test_an_agent_that_cannot_start_is_not_there(keep: Any) -> None:
    async def fail(host: Host) -> None:
        await host.publish("about.to.fail")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await keep.create("ada", ignore, "job", on_start=fail)
    assert keep.agents.find() == []
    assert await keep.host.publish("job") == 0


@pytest.mark.feature("RT-03")
async def test_start_and_stop_are_called_once_each_in_their_places(keep: Any) -> None:
    order: list[str] = []

    async def start(host: Host) -> None:
        order.append("start")

    async def handle(host: Host, event: Envelope) -> None:
        order.append("event")

    async def stop(host: Host) -> None:
        order.append("stop")

    await keep.create("ada", handle, "job", on_start=start, on_stop=stop)
    await keep.host.publish("job")
    await wait_until(lambda: "event" in order)
    await keep.agents.stop("ada")
    await keep.agents.stop("ada")
    assert order == ["start", "event", "stop"]


@pytest.mark.feature("RT-04")
async def test_a_thousand_events_one_after_the_other(keep: Any) -> None:
    seen: list[int] = []
    inside = 0

    async def handle(host: Host, event: Envelope) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0)
        seen.append(event.data)
        inside -= 1

    await keep.create("ada", handle, "job")
    for number in range(1000):
        await keep.host.publish("job", number)
    await wait_until(lambda: len(seen) == 1000)
    assert seen == list(range(1000))
    record = keep.record("ada")
    assert (record.handled, record.failed, record.waiting) == (1000, 0, 0)
    assert record.last_active >= record.created > 0


@pytest.mark.feature("RT-04")
async def test_the_mailbox_holds_a_thousand(keep: Any) -> None:
    gate = Gate()
    record = await keep.create("ada", gate, "job")
    assert record.mailbox == 1000
    await keep.host.publish("job")
    await wait_until(lambda: gate.began)
    for _ in range(1000):
        keep.host.publish_nowait("job")
    assert keep.record("ada").waiting == 1000
    waiting = keep.host.spawn(keep.host.publish("job"), "one too many")
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.open.set()
    assert await waiting == 1
    await wait_until(lambda: len(gate.ended) == 1002)


@pytest.mark.feature("RT-05")
async def test_topics_come_and_go_while_it_lives(keep: Any) -> None:
    await keep.create("ada", ignore)
    assert await keep.host.publish("news.local") == 0
    assert "news.*" in keep.agents.subscribe("ada", "news.*").topics
    assert await keep.host.publish("news.local") == 1
    keep.agents.unsubscribe("ada", "news.*")
    assert await keep.host.publish("news.local") == 0
    assert keep.told("ada") == ["created", "started"]


@pytest.mark.feature("RT-05")
async def test_topics_come_and_go_by_messages_too(keep: Any) -> None:
    await keep.create("ada", ignore)
    assert (await keep.control("ada", "subscribe", "news.>")).topics[-1] == "news.>"
    assert await keep.host.publish("news.local") == 1
    await keep.control("ada", "unsubscribe", "news.>")
    assert await keep.host.publish("news.local") == 0
    assert (await keep.control("ada", "stop")).state == "stopped"
    assert (await keep.control("ada", "start")).state == "running"
    assert await keep.control("ada", "delete") == {"id": "ada", "state": "deleted"}
    assert await keep.listed() == []


@pytest.mark.feature("RT-05")
@pytest.mark.parametrize(
    ("id", "action", "topic", "says"),
    [
        ("bob", "stop", "", "no agent 'bob'"),
        ("ada", "dance", "", "must be start, stop, restart"),
        ("ada", "subscribe", "a..b", "empty token"),
        ("ada", "unsubscribe", "agent.ada.replies", "belongs to agent 'ada' for good"),
    ],
)
async def test_a_wrong_message_is_answered_with_an_error(
    keep: Any, id: str, action: str, topic: str, says: str
) -> None:
    await keep.create("ada", ignore)
    assert says in (await keep.control(id, action, topic))["error"]


@pytest.mark.feature("RT-05")
async def test_what_was_subscribed_stays_after_a_restart(keep: Any) -> None:
    await keep.create("ada", ignore)
    keep.agents.subscribe("ada", "news")
    await keep.agents.stop("ada")
    await keep.agents.start("ada")
    assert await keep.host.publish("news") == 1


@pytest.mark.feature("ENV-03")
async def test_the_replies_topic_is_subscribed_by_itself(keep: Any) -> None:
    seen: list[Any] = []

    async def handle(host: Host, event: Envelope) -> None:
        seen.append((event.topic, event.data))

    await keep.create("ada", handle)
    await keep.host.publish("agent.ada.replies", "psst")
    await wait_until(lambda: seen == [("agent.ada.replies", "psst")])


@pytest.mark.corpus
@pytest.mark.feature("RT-10")
@pytest.mark.parametrize("concurrency", ["queue", "reject", "replace", "parallel:2"])
@pytest.mark.parametrize("failure", [ValueError("ink is out"), SystemExit(3), KeyError()])
async def test_a_failing_event_is_told_and_the_next_one_handled(
    keep: Any, concurrency: str, failure: BaseException
) -> None:
    seen: list[int] = []

    async def handle(host: Host, event: Envelope) -> None:
        seen.append(event.data)
        if event.data == 1:
            raise failure

    await keep.create("ada", handle, "job", concurrency=concurrency)
    for number in (1, 2):
        await keep.host.publish("job", number)
        await keep.settled("ada", number)
    assert seen == [1, 2]
    (failed,) = keep.events.on("agent.ada.failed")
    assert failed.data["error"] == repr(failure)
    assert failed.data["topic"] == "job"
    (error,) = await keep.events.wait_for("$loom.error")
    assert error.data["source"] == "ada"
    record = keep.record("ada")
    assert (record.state, record.handled, record.failed) == ("running", 2, 1)


@pytest.mark.feature("X-09")
@pytest.mark.feature("RT-04")
async def test_queue_lets_events_wait(keep: Any) -> None:
    gate = Gate()
    await keep.create("ada", gate, "job")
    for number in range(3):
        await keep.host.publish("job", number)
    await wait_until(lambda: gate.began == [0])
    gate.open.set()
    await wait_until(lambda: gate.ended == [0, 1, 2])
    assert gate.most == 1


@pytest.mark.feature("X-09")
async def test_reject_refuses_what_overlaps(keep: Any) -> None:
    gate = Gate()
    await keep.create("ada", gate, "job", concurrency="reject")
    for number in range(3):
        await keep.host.publish("job", number)
    refused = await keep.events.wait_for("agent.ada.rejected", 2)
    assert [event.data["reason"] for event in refused] == ["busy", "busy"]
    gate.open.set()
    await wait_until(lambda: gate.ended == [0])
    await keep.host.publish("job", 3)
    await wait_until(lambda: gate.ended == [0, 3])
    assert keep.record("ada").rejected == 2


@pytest.mark.feature("X-09")
async def test_replace_cancels_what_runs(keep: Any) -> None:
    gate = Gate()
    await keep.create("ada", gate, "job", concurrency="replace")
    for number in range(3):
        await keep.host.publish("job", number)
        await keep.settled("ada", number + 1)
    gate.open.set()
    await wait_until(lambda: gate.ended == [2])
    assert (gate.most, keep.record("ada").rejected, keep.record("ada").failed) == (1, 2, 0)


@pytest.mark.feature("X-09")
async def test_parallel_handles_so_many_at_once(keep: Any) -> None:
    gate = Gate()
    await keep.create("ada", gate, "job", concurrency="parallel:3")
    for number in range(7):
        await keep.host.publish("job", number)
    await wait_until(lambda: gate.running == 3)
    await asyncio.sleep(0)
    assert gate.began == [0, 1, 2]
    gate.open.set()
    await wait_until(lambda: len(gate.ended) == 7)
    assert gate.most == 3


@pytest.mark.corpus
@pytest.mark.feature("X-09")
@pytest.mark.parametrize("concurrency", ["", "sometimes", "parallel", "parallel:0", "parallel:x"])
async def test_an_unknown_policy_is_refused(keep: Any, concurrency: str) -> None:
    with pytest.raises(LoomError, match="must be queue, reject, replace or parallel"):
        await keep.create("ada", ignore, concurrency=concurrency)


@pytest.mark.feature("RT-09")
@pytest.mark.parametrize("concurrency", ["queue", "parallel:2"])
async def test_stopping_lets_the_event_in_hand_finish(keep: Any, concurrency: str) -> None:
    gate = Gate()
    await keep.create("ada", gate, "job", concurrency=concurrency)
    await keep.host.publish("job", 1)
    await wait_until(lambda: gate.began == [1])
    stopping = keep.host.spawn(keep.agents.stop("ada"), "stop")
    await asyncio.sleep(0.01)
    assert not stopping.done()
    gate.open.set()
    await stopping
    assert gate.ended == [1]


@pytest.mark.feature("RT-09")
@pytest.mark.parametrize("concurrency", ["queue", "parallel:2"])
async def test_an_agent_may_delete_itself(keep: Any, concurrency: str) -> None:
    async def handle(host: Host, event: Envelope) -> None:
        await host.require(Agents).delete("ada")

    await keep.create("ada", handle, "job", concurrency=concurrency)
    await keep.host.publish("job")
    await keep.events.wait_for("agent.ada.deleted")
    assert keep.agents.find() == []


@pytest.mark.feature("RT-09")
async def test_an_agent_that_hangs_does_not_keep_others_from_their_end() -> None:
    ended: list[str] = []
    limits = {"kernel": {"drain_timeout": 0.1, "detach_timeout": 2.0}}
    gate = Gate()

    async def stop(host: Host) -> None:
        ended.append(host.name)

    async with running("agents", config=limits) as runtime:
        from loom.contracts import AgentDefinition

        host = runtime.host("outside")
        agents = host.require(Agents)
        await agents.create(AgentDefinition("early", ignore, on_stop=stop))
        await agents.create(AgentDefinition("stuck", gate, ("job",)))
        await host.publish("job")
        await wait_until(lambda: gate.began)
    assert ended == ["early"]


@pytest.mark.feature("COL-09")
async def test_a_thousand_agents_leave_nothing_behind(keep: Any) -> None:
    before = len(keep.runtime.bus.subscriptions())
    for number in range(1000):
        await keep.create(f"n{number}", ignore, f"job.{number}", "job.*")
    assert len(keep.runtime.bus.subscriptions()) == before + 1000
    for number in range(1000):
        await keep.agents.delete(f"n{number}")
    assert len(keep.runtime.bus.subscriptions()) == before
    assert await keep.host.publish("job.1") == 0
