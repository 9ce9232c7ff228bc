"""The contract net: who gets the task, what becomes of it, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from loom import Context, Envelope, bid, contract_net
from loom.collaboration import Award
from loom.contracts import Bid, CallForProposals, Settlement
from loom_kernel import InvalidEnvelope, LoomError, Runtime
from loom_kernel.testing import EventRecorder

Virtually = Callable[[Callable[[Runtime], Coroutine[Any, Any, None]]], None]
Work = Callable[[Award], Coroutine[Any, Any, None]]


async def deliver(award: Award) -> None:
    await award.deliver(f"{award.task} done")


async def fail(award: Award) -> None:
    await award.fail("out of paper")


async def crash(award: Award) -> None:
    async with award:
        raise RuntimeError("jammed")


async def forget(award: Award) -> None:
    async with award:
        pass


async def sleep(award: Award) -> None:
    await asyncio.sleep(100)
    await award.deliver("too late")


class Market:
    """Bidders on `job`, a caller, and what was published."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.caller = Context(runtime.host("caller"), "caller")
        self.events = EventRecorder(runtime.host("witness"), ">")
        self.told: dict[str, bool] = {}
        """Whether a bidder won, once it knows."""
        self.times: dict[str, float] = {}

    def enter(
        self, name: str, score: float, work: Work = deliver, delay: float = 0.0, **more: Any
    ) -> Context:
        """A bidder that answers after *delay* seconds."""
        ctx = Context(self.runtime.host(name), name)

        async def answer(call: Envelope) -> None:
            await asyncio.sleep(delay)
            award = await bid(ctx, call, score=score, promise={"of": name}, **more)
            self.told[name] = award is not None
            self.times[name] = ctx.clock.monotonic()
            if award is not None:
                await work(award)

        ctx.host.on("job", handler=answer)
        return ctx

    async def call(self, **options: Any) -> Settlement:
        self.start = self.caller.clock.monotonic()
        return await contract_net(
            self.caller, "job", "weave", **{"window_ms": 1000, "timeout_ms": 20_000} | options
        )

    def types(self) -> list[str]:
        return [event.type for event in self.events.events if event.type.startswith("collab.")]


@pytest.mark.feature("COL-06")
@pytest.mark.feature("COL-07")
def test_the_highest_score_wins_works_and_the_others_are_told(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        for name, score in {"low": 0.1, "high": 0.9, "middle": 0.5}.items():
            market.enter(name, score)
        settlement = await market.call(thread="t1")
        assert (settlement.winner, settlement.result) == ("high", "weave done")
        (contract,) = settlement.contracts
        assert (contract.score, contract.promise, contract.failure) == (0.9, {"of": "high"}, "")
        assert (settlement.is_complete, settlement.bids, settlement.failure) == (True, 3, "")
        await asyncio.sleep(0)
        assert market.told == {"high": True, "low": False, "middle": False}
        assert market.types() == [
            "collab.cfp", *["collab.bid"] * 3, "collab.reject", "collab.award",
            "collab.result", "collab.reject", "collab.settled",
        ]  # fmt: skip
        (awarded,) = [event for event in market.events.events if event.type == "collab.award"]
        assert awarded.data.winner == "high"
        (settled,) = market.events.on("thread.t1.reply")
        assert (settled.type, settled.data) == ("collab.settled", settlement)
        assert all(event.thread_id == "t1" for event in market.events.on("job"))
        assert all("collab" in event.tags for event in market.events.events)

    virtually(scene)


@pytest.mark.feature("COL-06")
def test_of_equal_scores_the_first_wins(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("second", 0.5, delay=0.3)
        market.enter("first", 0.5, delay=0.2)
        assert (await market.call()).winner == "first"

    virtually(scene)


@pytest.mark.feature("COL-06")
def test_who_comes_after_the_window_is_not_asked(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("slow", 0.9, delay=1.5)
        market.enter("quick", 0.1, work=sleep)
        settlement = await market.call(timeout_ms=3000)
        assert not settlement.kept
        assert [contract.winner for contract in settlement.contracts] == ["quick"]
        assert settlement.elapsed == pytest.approx(4)
        assert market.told["slow"] is False

    virtually(scene)


@pytest.mark.feature("COL-07")
@pytest.mark.parametrize(
    ("work", "reason"),
    [(fail, "out of paper"), (crash, "RuntimeError: jammed"), (forget, "ended without a result")],
)
def test_if_the_winner_fails_the_next_best_is_asked(
    virtually: Virtually, work: Work, reason: str
) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("best", 0.9, work=work)
        market.enter("good", 0.8)
        market.enter("bad", 0.1)
        settlement = await market.call()
        assert [contract.winner for contract in settlement.contracts] == ["best", "good"]
        assert reason in settlement.contracts[0].failure
        assert (settlement.winner, settlement.is_complete) == ("good", True)

    virtually(scene)


@pytest.mark.feature("COL-07")
def test_patience_says_when_a_winner_is_late(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("best", 0.9, work=sleep)
        market.enter("good", 0.8)
        settlement = await market.call(patience_ms=5000)
        assert settlement.elapsed == pytest.approx(6)
        assert settlement.contracts[0].failure.startswith("late")
        assert settlement.contracts[0].elapsed == pytest.approx(5)
        assert settlement.result == "weave done"

    virtually(scene)


@pytest.mark.feature("COL-07")
def test_without_it_a_winner_has_the_whole_time(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("best", 0.9, work=sleep)
        market.enter("good", 0.8)
        settlement = await market.call()
        assert settlement.failure.startswith("late")
        assert settlement.elapsed == pytest.approx(21)
        assert (settlement.is_complete, settlement.winner) == (False, "")

    virtually(scene)


@pytest.mark.feature("COL-07")
def test_losers_know_at_once_and_reserves_in_the_end(virtually: Virtually) -> None:
    async def work(award: Award) -> None:
        await asyncio.sleep(5)
        await award.deliver()

    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        for name, score in {"a": 4, "b": 3, "c": 2, "d": 1}.items():
            market.enter(name, score, work=work)
        settlement = await market.call(awards=1, reserves=2)
        await asyncio.sleep(0.1)
        assert settlement.is_complete
        known = {name: time - market.start for name, time in market.times.items()}
        assert known == pytest.approx({"a": 1, "b": 6, "c": 6, "d": 1})

    virtually(scene)


@pytest.mark.feature("COL-06")
def test_several_awards(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("a", 4, work=fail)
        for name, score in {"b": 3, "c": 2, "d": 1}.items():
            market.enter(name, score)
        settlement = await market.call(awards=2)
        assert [contract.winner for contract in settlement.contracts] == ["a", "b", "c"]
        assert [contract.winner for contract in settlement.kept] == ["b", "c"]
        assert settlement.is_complete
        short = await market.call(awards=4, timeout_ms=1000)
        assert (len(short.kept), short.is_complete) == (3, False)

    virtually(scene)


@pytest.mark.feature("COL-06")
@pytest.mark.parametrize(
    "offer",
    [
        {"score": "high"}, {"score": None}, {"score": True}, {}, "nonsense", b"\xff", None,
        {"score": 10**400}, Bid("", float("nan")), Bid("", float("inf")),
        Bid("", "9"),  # type: ignore[arg-type]  # in process nobody checks what a struct holds
    ],
)  # fmt: skip
def test_a_bid_that_cannot_be_compared_is_refused(virtually: Virtually, offer: Any) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("honest", 0.1)
        odd = runtime.host("odd")
        answers: list[str] = []

        async def answer(call: Envelope) -> None:
            with Context(odd, "odd").inbox() as inbox:
                data = {"call": call.data.id, **offer} if isinstance(offer, dict) else offer
                await odd.reply(call, data, "collab.bid", reply_to=inbox.patterns[0])
                answers.extend(event.type for event in [await inbox.receive()] if event)

        odd.on("job", handler=answer)
        settlement = await market.call()
        assert (settlement.winner, settlement.bids) == ("honest", 1)
        assert list(settlement.refused) == ["odd"]
        assert answers == ["collab.reject"]

    virtually(scene)


@pytest.mark.feature("COL-06")
def test_a_bid_leads_the_caller_to_no_other_topic(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        odd = runtime.host("odd")

        async def answer(call: Envelope) -> None:
            await odd.reply(call, Bid("", 9.0), "collab.bid", reply_to="tool.call")

        odd.on("job", handler=answer)
        settlement = await market.call()
        assert list(settlement.refused) == ["odd"]
        assert not market.events.on("tool.call")

    virtually(scene)


@pytest.mark.feature("COL-07")
def test_results_count_only_from_the_winner_and_once(virtually: Virtually) -> None:
    async def twice(award: Award) -> None:
        await award.deliver("first")
        with pytest.raises(LoomError, match="told already"):
            await award.fail("second")

    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("best", 0.9, work=twice)
        thief = runtime.host("thief")

        async def steal(call: Envelope) -> None:
            await thief.reply(call, {"call": call.data.id, "result": "stolen"}, "collab.result")
            await thief.reply(call, {"junk": 1}, "whatever")

        thief.on("job", handler=steal)
        settlement = await market.call()
        assert (settlement.winner, settlement.result) == ("best", "first")

    virtually(scene)


@pytest.mark.feature("COL-07")
@pytest.mark.parametrize("is_early", [True, False])
def test_a_bid_after_the_window_is_refused(virtually: Virtually, is_early: bool) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        late = Context(runtime.host("late"), "late")
        inbox = late.inbox()

        async def interfere(award: Award) -> None:
            (call,) = market.events.on("job")
            if not is_early:
                await award.deliver()
            offer = Bid(award.call.id, 99.0)
            await late.host.reply(call, offer, "collab.bid", reply_to=inbox.patterns[0])
            if is_early:
                await award.deliver()

        market.enter("best", 1, work=interfere)
        settlement = await market.call()
        answer = await inbox.receive()
        assert answer is not None
        assert (answer.type, answer.data.reason) == ("collab.reject", "the window is closed")
        assert settlement.winner == "best"
        inbox.close()

    virtually(scene)


@pytest.mark.feature("COL-06")
def test_nobody_there_and_nobody_willing(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        nobody = await market.call(thread="t1")
        assert (nobody.elapsed, nobody.winner, nobody.bids) == (0, "", 0)
        assert nobody.failure == "nobody made a valid bid"
        runtime.host("shy").subscribe("job", qos="realtime")
        unwilling = await market.call(thread="t1")
        assert unwilling.elapsed == pytest.approx(1)
        assert len(market.events.on("thread.t1.reply")) == 2

    virtually(scene)


@pytest.mark.feature("COL-06")
def test_who_does_not_hold_its_bid_is_passed_over(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("hasty", 0.9, hold_ms=500)
        market.enter("calm", 0.1)
        settlement = await market.call()
        assert (settlement.winner, len(settlement.contracts)) == ("calm", 1)
        assert market.told["hasty"] is False
        assert market.times["hasty"] - market.start == pytest.approx(0.5)

    virtually(scene)


@pytest.mark.feature("COL-07")
def test_bidders_are_let_go_when_the_caller_is_cancelled(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        market.enter("a", 0.9)
        market.enter("b", 0.1)
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(market.call())
            await asyncio.sleep(0.5)
            calling.cancel()
        await asyncio.sleep(0.1)
        # They bid within the window, which nobody waited out: a call that is cancelled has no end.
        assert market.told == {"a": False, "b": False}
        assert market.times["a"] - market.start < 1

    virtually(scene)


def test_what_cannot_be_called_or_bid_for_is_refused(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        market = Market(runtime)
        for options in (
            {"window_ms": 0}, {"timeout_ms": -1}, {"awards": 0}, {"reserves": -1},
            {"patience_ms": 0},
        ):  # fmt: skip
            with pytest.raises(ValueError, match="must be"):
                await market.call(**options)
        events = runtime.host("x").subscribe("job")
        await market.caller.emit("job", {"not": "a call"})
        await market.caller.emit("job", CallForProposals("1", None, 1.0, 1.0))
        wrong, right = [await events.receive() for _ in range(2)]
        assert wrong is not None
        assert right is not None
        with pytest.raises(InvalidEnvelope):
            await bid(market.caller, wrong, score=1)
        for score in (float("nan"), float("inf"), "1"):
            with pytest.raises(ValueError, match="finite number"):
                await bid(market.caller, right, score=score)  # type: ignore[arg-type]  # the test
        assert await bid(market.caller, right, score=1) is None, "nobody waits for the bid"
        events.close()

    virtually(scene)


@pytest.mark.feature("ENV-03")
def test_labels_come_along_both_ways(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        host = runtime.host("boss")
        worker = Context(runtime.host("worker"), "worker")
        events = EventRecorder(runtime.host("witness"), "done")

        async def call(event: Envelope) -> None:
            await contract_net(Context(host, "boss"), "job", window_ms=100)
            await host.publish("done")

        async def answer(event: Envelope) -> None:
            award = await bid(worker, event, score=1)
            assert award is not None
            await worker.reply(event, None, labels=["x"])
            await worker.host.publish(
                award._notice.reply_to, {"call": award.call.id, "result": 1}, "collab.result",
                labels=["untrusted"],
            )  # fmt: skip

        worker.host.on("job", handler=answer)
        host.on("go", handler=call)
        await runtime.host("outside").publish("go", labels=["secret"])
        (done,) = await events.wait_for("done")
        assert done.labels == {"secret", "untrusted"}

    virtually(scene)
