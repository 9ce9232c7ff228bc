"""R9: the bus and the journal against a small model, by hypothesis, in virtual time.

A crash is what SIGKILL leaves: the files as they are at that moment, copied, go on in a new life.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from loom.contracts import Reject, Retry
from loom_kernel import Envelope, Runtime, Subscription, matches
from loom_kernel.testing import VirtualClock, VirtualLoop, running

IS_LONG = bool(os.environ.get("LOOM_TEST_LONG"))
RUNS, STEPS = (1500, 50) if IS_LONG else (8, 25)
PHASES = [Phase.explicit, Phase.generate, *([Phase.shrink] if IS_LONG else [])]
DELIVERIES, CRASHES = 3, 2
CONSUMERS = {"all": "order.*", "big": "order.big"}
CONFIG = {
    "plugins": {
        "journal": {"deliveries": DELIVERIES, "crashes": CRASHES, "window": 3, "ack_wait": 0}
    }
}


@dataclass
class Fate:
    """What a consumer has done with one event."""

    failures: int = 0
    crashes: int = 0
    is_rejected: bool = False
    is_done: bool = False
    is_certain: bool = False
    """Whether that it is done is on the disk: else a crash may bring it again."""
    may_return: bool = False
    """Whether a crash came before that was certain."""
    times_done: int = 0


@dataclass
class Desk:
    """One consumer in the model, and its handler, which waits to be told."""

    name: str
    fates: dict[int, Fate] = field(default_factory=dict)
    """Of every event it must get, in the order of publishing."""
    subscription: Subscription | None = None
    hand: tuple[int, asyncio.Future[BaseException | None]] | None = None
    problems: list[str] = field(default_factory=list)

    async def handle(self, envelope: Envelope) -> None:
        number = envelope.data
        self.check(number, envelope)
        told: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.hand = number, told
        try:
            failure = await told
        finally:
            if self.hand == (number, told):
                self.hand = None
        if failure is not None:
            raise failure

    def check(self, number: int, envelope: Envelope) -> None:
        """What is handed out is wanted, and its turn has come."""
        fate = self.fates.get(number)
        if fate is None:
            self.problems.append(f"{number} is not for {self.name}")
        elif fate.is_done and fate.is_certain and not fate.may_return:
            self.problems.append(f"{number} was done with")

    def end(self, failure: BaseException | None) -> None:
        """Tell the handler how its event went."""
        assert self.hand is not None
        number, told = self.hand
        fate = self.fates[number]
        if failure is None:
            fate.is_done = True
            fate.times_done += 1
        elif isinstance(failure, Reject):
            fate.is_rejected = True
        else:
            fate.failures += 1
        told.set_result(failure)

    def may_be_dead(self, number: int) -> bool:
        fate = self.fates[number]
        return fate.is_rejected or fate.failures >= DELIVERIES or fate.crashes >= CRASHES


class BusAndJournal(RuleBasedStateMachine):
    """See above."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="loom-model-"))
        self.loop = VirtualLoop()
        self.life = 0
        self.moment = 1_767_225_600.0
        self.desks: dict[str, Desk] = {}
        self.count = 0
        self.keys: set[tuple[str, str]] = set()
        self.start()

    # -- lives -------------------------------------------------------------------------------

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @property
    def state(self) -> Path:
        return self.base / str(self.life)

    def start(self) -> None:
        clock = VirtualClock(self.moment)
        self.running: AbstractAsyncContextManager[Runtime] = running(
            "journal", state=self.state, clock=clock, config=CONFIG
        )
        self.runtime = self.do(self.running.__aenter__())

    def stop(self) -> None:
        self.do(self.running.__aexit__(None, None, None))
        for desk in self.desks.values():
            desk.subscription, (hand, desk.hand) = None, (desk.hand, None)
            if hand is not None:
                hand[1].cancel()
        self.turn()

    @rule()
    def restart(self) -> None:
        self.stop()
        self.settled()
        self.start()

    @rule()
    def crash(self) -> None:
        for desk in self.desks.values():
            if desk.hand is not None:
                desk.fates[desk.hand[0]].crashes += 1
            for fate in desk.fates.values():
                fate.may_return |= fate.is_done and not fate.is_certain
        shutil.copytree(self.state, self.base / str(self.life + 1))
        marks = {name: (desk.fates, desk.problems[:]) for name, desk in self.desks.items()}
        old = self.desks
        self.desks = {n: Desk(n, fates, problems=said) for n, (fates, said) in marks.items()}
        for desk in old.values():
            desk.fates = {number: Fate() for number in desk.fates}  # what it sees now is nobody's
        self.do(self.running.__aexit__(None, None, None))
        self.life += 1
        self.start()

    def settled(self) -> None:
        """What is done is on the disk by now."""
        for desk in self.desks.values():
            for fate in desk.fates.values():
                fate.is_certain |= fate.is_done

    # -- what happens ------------------------------------------------------------------------

    @rule(
        size=st.sampled_from(["big", "small"]),
        thread=st.sampled_from(["t1", "t2"]),
        key=st.sampled_from(["", "", "k1", "k2"]),
    )
    def publish(self, size: str, thread: str, key: str) -> None:
        topic, number = f"order.{size}", self.count
        self.count += 1
        if not key or (topic, key) not in self.keys:
            wanting = [d for d in self.desks.values() if matches(CONSUMERS[d.name], topic)]
            for desk in wanting:
                desk.fates[number] = Fate()
            if key and wanting:  # nobody wanted it: it was not written, and the key is unknown
                self.keys.add((topic, key))
        fields = {"metadata": {"idempotency-key": key}} if key else {}
        host = self.runtime.host("shop")
        self.do(host.publish(topic, number, thread_id=thread, **fields))
        self.turn()

    @rule(name=st.sampled_from(sorted(CONSUMERS)))
    def subscribe(self, name: str) -> None:
        desk = self.desks.setdefault(name, Desk(name))
        if desk.subscription is None:
            self.do(self._subscribe(desk))
            self.turn()

    async def _subscribe(self, desk: Desk) -> None:
        host = self.runtime.host(desk.name)
        pattern = CONSUMERS[desk.name]
        desk.subscription = host.on(pattern, handler=desk.handle, durable=desk.name)

    @rule(name=st.sampled_from(sorted(CONSUMERS)))
    def unsubscribe(self, name: str) -> None:
        desk = self.desks.get(name)
        if desk is not None and desk.subscription is not None:
            subscription, desk.subscription = desk.subscription, None
            hand, desk.hand = desk.hand, None
            self.do(self._close(subscription))
            if hand is not None:
                hand[1].cancel()
            self.turn()

    async def _close(self, subscription: Subscription) -> None:
        subscription.close()

    @rule(name=st.sampled_from(sorted(CONSUMERS)))
    def forget(self, name: str) -> None:
        if name in self.desks and self.desks[name].subscription is None:
            answer = self.do(self.runtime.host("cli").request("journal.forget", {"name": name}))
            assert "error" not in answer.data, answer.data
            del self.desks[name]

    @precondition(lambda self: any(desk.hand for desk in self.desks.values()))
    @rule(
        data=st.data(),
        how=st.sampled_from([None, None, None, Retry("again", 0.0), Retry("later"), Reject("no")]),
    )
    def handled(self, data: st.DataObject, how: BaseException | None) -> None:
        busy = sorted(name for name, desk in self.desks.items() if desk.hand)
        self.desks[data.draw(st.sampled_from(busy))].end(how)
        self.turn()

    @rule()
    def rest(self) -> None:
        """A while passes: progress is written, delayed ones come again."""
        self.do(asyncio.sleep(200.0))
        self.settled()

    def turn(self) -> None:
        """Let all that is ready happen, in next to no time."""
        self.do(asyncio.sleep(0.001))

    # -- what must hold ----------------------------------------------------------------------

    @invariant()
    def nothing_is_given_that_should_not_be(self) -> None:
        for desk in self.desks.values():
            assert not desk.problems, desk.problems

    def teardown(self) -> None:
        try:
            self.drain()
            self.stop()
        finally:
            self.loop.close()
            shutil.rmtree(self.base)

    def drain(self) -> None:
        """Let every consumer finish: each event ends in exactly one way."""
        for name in list(self.desks):
            self.subscribe(name)
        for _ in range(20 + 12 * self.count):
            if not any(desk.hand for desk in self.desks.values()):
                self.rest()
                if not any(desk.hand for desk in self.desks.values()):
                    break
            for desk in self.desks.values():
                if desk.hand:
                    desk.end(None)
            self.turn()
        self.nothing_is_given_that_should_not_be()
        letters = self.do(self.runtime.host("cli").request("letter.list")).data["letters"]
        for desk in self.desks.values():
            dead = [one for one in letters if one["id"].startswith(f"{desk.name}/")]
            done = [n for n, fate in desk.fates.items() if fate.is_done]
            left = [n for n, fate in desk.fates.items() if not fate.is_done]
            assert all(desk.may_be_dead(number) for number in left), f"{desk.name} lost {left}"
            assert len(dead) >= len(left), "what is not done is a dead letter"
            assert len(done) + len(left) == len(desk.fates)
        status = self.do(self.runtime.host("cli").request("journal.status")).data
        assert all(one["behind"] == one["in_hand"] == 0 for one in status["consumers"]), status


BusAndJournal.TestCase.settings = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    phases=PHASES,
    derandomize=not IS_LONG,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.feature("BUS-05")
@pytest.mark.feature("X-05")
@pytest.mark.reliability("R9")
@pytest.mark.timeout(900)
class TestBusAndJournal(BusAndJournal.TestCase):  # type: ignore[misc,valid-type]  # made by hypothesis
    """The model as a test."""
