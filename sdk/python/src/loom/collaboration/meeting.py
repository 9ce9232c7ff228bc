"""Waiting for each other: a barrier without a coordinator.

Whoever waits listens to the barrier's topic and says so there. Whoever waits already answers a
newcomer, so all know of each other whatever the order in which they came. The first who has
seen all says `passed`, which releases the others: they listen already, because one listens
before one says anything. For the same reason `passed` reaches everybody before the first step
of the next round does, so a fast member cannot mix up two rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import uuid4

from loom_kernel import Envelope, InvalidEnvelope, LoomError

from loom.collaboration.waiting import TAGS, Deadline, log, next_before, tell
from loom.contracts import BarrierStep, read

if TYPE_CHECKING:
    from loom.context import Context

TYPE = "collab.barrier"


class BarrierTimeout(LoomError):
    """Not all members came in time (seconds): start the *missing*, or give them longer."""

    def __init__(
        self, name: str, missing: tuple[str, ...], left: tuple[str, ...], timeout: float
    ) -> None:
        self.name = name
        self.missing = missing or left
        """Ids of the members that did not come, sorted; if all came, of those who left again."""
        self.left = left
        """Ids of those who came and did not wait long enough, sorted."""
        self.timeout = timeout
        problem = "did not come" if missing else "left again"
        super().__init__(
            f"barrier {name!r}: {', '.join(map(repr, self.missing))} {problem} within {timeout:g} s"
        )


class _Round:
    """One member's view of one round."""

    def __init__(self, ctx: Context, name: str, members: Iterable[str]) -> None:
        self.topic = f"collab.barrier.{_token(name)}"
        self.members = frozenset(members)
        self.token = uuid4().hex
        self.is_released = False
        self._present = {ctx.agent_id: self.token}
        self._left: set[str] = set()
        self._ctx = ctx
        if ctx.agent_id not in self.members:
            raise ValueError(f"{ctx.agent_id!r} waits at {name!r} but is none of its members")

    def address(self, member: str) -> str:
        """Where one member alone is answered."""
        return f"{self.topic}.{member}"

    @property
    def is_complete(self) -> bool:
        """Whether all wait, or one who saw all waiting has said so."""
        return self.is_released or self.members <= self._present.keys()

    @property
    def missing(self) -> tuple[str, ...]:
        """Who never came, sorted."""
        return tuple(sorted(self.members - self._present.keys() - self._left))

    @property
    def left(self) -> tuple[str, ...]:
        """Who came and left again, sorted."""
        return tuple(sorted(self._left))

    async def come(self) -> None:
        """Say that this member waits."""
        await self._ctx.host.publish(
            self.topic, BarrierStep("waiting", self.token), TYPE, tags=TAGS
        )

    async def pass_on(self) -> None:
        """Say that all have come."""
        step = BarrierStep("passed", self.token, tokens=dict(self._present))
        await self._ctx.host.publish(self.topic, step, TYPE, tags=TAGS)

    def leave(self) -> None:
        """Say that this member waits no more."""
        step = BarrierStep("left", self.token, missing=self.missing or self.left)
        tell(self._ctx.host, self.topic, step, TYPE)

    async def hear(self, event: Envelope) -> None:
        """Take in what another member says, and answer a newcomer."""
        member = event.sender
        if member == self._ctx.agent_id or member not in self.members:
            return
        try:
            step = read(event, BarrierStep)
        except InvalidEnvelope as error:
            log.warning("a step of %r was ignored: %s", member, error)
            return
        if step.state == "passed":
            is_mine = step.tokens.get(self._ctx.agent_id) == self.token
            self.is_released |= is_mine and self.members <= step.tokens.keys()
        elif step.state == "left":
            if self._present.get(member) == step.token:
                del self._present[member]
                self._left.add(member)
        elif step.to in ("", self.token):
            self._present[member] = step.token
            self._left.discard(member)
            if not step.to:
                answer = BarrierStep("waiting", self.token, to=step.token)
                await self._ctx.host.publish(self.address(member), answer, TYPE, tags=TAGS)


async def barrier(
    ctx: Context, name: str, members: Iterable[str], timeout_ms: float = 30_000
) -> None:
    """Wait until every one of *members* (agent ids, the own among them) waits here too.

    Every member calls it with the same *name* (one token of a topic) and the same members, from
    any process and in any order. The same name may be used again at once, round after round;
    a member that left by its timeout or was cancelled may come again into the same round. One
    agent waits once at a time under one name.

    Whoever was told that all have come returns, even if one of the others is killed then. A
    member that dies while it waits counts as having come to those who saw it.

    Raises:
        BarrierTimeout: some did not come within *timeout_ms*; `missing` names them.
        BusClosed: the runtime is stopping.
        ValueError: the agent is none of the members, or the name is not one token.
    """
    deadline = Deadline(ctx.clock, timeout_ms / 1000)
    round = _Round(ctx, name, members)
    own = round.address(ctx.agent_id)
    with ctx.host.subscribe(round.topic, own, name=f"barrier:{name}") as steps:
        try:
            await round.come()
            while not round.is_complete:
                event = await next_before(steps, deadline.left)
                if event is None:
                    raise BarrierTimeout(name, round.missing, round.left, deadline.seconds)
                await round.hear(event)
            if not round.is_released:
                await round.pass_on()
        except (LoomError, asyncio.CancelledError):
            round.leave()
            raise


def _token(name: str) -> str:
    if not name or any(sign in name for sign in ".*> \t\n"):
        raise ValueError(f"the barrier's name is {name!r}, must be one token of a topic")
    return name
