"""Carrying a decision out: who is asked, who instead if that fails, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from loom.contracts import (
    BudgetExceeded,
    ModelError,
    ModelPart,
    ModelReply,
    ModelRequest,
    Models,
    Route,
)
from loom_kernel import Host, current

from loom_plugin_router.choosing import Candidate
from loom_plugin_router.privacy import released
from loom_plugin_router.service import Plan, Service
from loom_plugin_router.settings import Settings

Phase = Literal["only", "quick", "refine"]
Failure = ModelError | BudgetExceeded
Heard = Callable[[ModelPart], Awaitable[bool]]
"""Is told a part; says whether somebody else was told of it."""
MOST = 3
"""Endpoints that are asked for one answer."""


class Thought(msgspec.Struct, frozen=True):
    """An answer, and which one it is."""

    reply: ModelReply
    phase: Phase
    plan: Plan


class Thinking:
    """One thought by *plan*. *heard* is told the parts, *quick* the quick answer of a hybrid."""

    def __init__(
        self,
        host: Host,
        service: Service,
        plan: Plan,
        request: ModelRequest,
        *,
        heard: Heard,
        quick: Callable[[ModelReply], Awaitable[None]],
    ) -> None:
        self._host = host
        self._service = service
        self._models = host.require(Models)
        settings: Settings = host.settings
        self._private_to = settings.private_to
        self._plan = plan
        self._request = request
        self._heard = heard
        self._quick = quick
        self._began = host.clock.monotonic()
        self._cost = 0.0
        self._failures: list[Failure] = []
        self._is_told = False

    async def answer(self) -> Thought:
        """The answer, of the last endpoint that was asked.

        Raises:
            ModelError: of the first endpoint, if none answered.
            BudgetExceeded: the same.
        """
        decision = self._plan.decision
        try:
            if decision.route == "hybrid":
                return await self._both()
            reply = await self._ask(decision.endpoint, self._heard)
            return self._done("only", reply) if reply is not None else await self._instead()
        except BaseException:
            self._settle(decision.route, "", is_good=False)  # also if nobody waits any more
            raise

    async def _both(self) -> Thought:
        """Ask both halves at once; a quick answer that comes after the better one is not told."""
        decision = self._plan.decision
        async with asyncio.TaskGroup() as group:
            hurrying = group.create_task(self._hurry(decision.endpoint), name="quick")
            refined = await self._ask(decision.refine, _unheard)
            if refined is not None:
                hurrying.cancel()
        if refined is not None:
            return self._done("refine", refined)
        if (first := hurrying.result()) is not None:
            is_local = any(one.name == decision.endpoint for one in self._plan.weighed.case.local)
            route: Route = "local_fallback" if is_local else "cloud"
            return self._done("quick", first, route, decision.endpoint)
        return await self._instead()

    async def _hurry(self, name: str) -> ModelReply | None:
        reply = await self._ask(name, _unheard)
        if reply is not None:
            await self._quick(reply)
        return reply

    async def _instead(self) -> Thought:
        """Ask others that may be asked, one after the other; none if a part was told already."""
        if self._is_told:
            raise self._failures[0]
        for other in self._plan.others[: MOST - len(self._failures)]:
            reply = await self._ask(other.name, self._heard)
            if reply is not None:
                return self._done("only", reply, _route_of(other), other.name)
            if self._is_told:
                break
        raise self._failures[0]

    async def _ask(self, name: str, heard: Heard) -> ModelReply | None:
        """The reply of endpoint *name*; None if there is none, the failure is noted."""
        began = self._host.clock.monotonic()
        cause = released(current.get(), name, self._private_to)
        try:
            asking = self._models.stream(
                name, self._request, cause, self._plan.weighed.request.agent, fallback=False
            )
            async with asking as parts:
                async for part in parts:
                    if isinstance(part, ModelReply):
                        self._observe(name, began, part.usage.cost, is_good=True)
                        return part
                    self._is_told = await heard(part) or self._is_told
            raise ModelError(name, "MODEL_INTERRUPTED", "the answer has no end")
        except BudgetExceeded as error:
            self._failures.append(error)  # it was not asked: nothing is learned of it
        except ModelError as error:
            self._failures.append(error)
            self._observe(name, began, 0.0, is_good=False)
        return None

    def _observe(self, name: str, began: float, cost: float, *, is_good: bool) -> None:
        ms = (self._host.clock.monotonic() - began) * 1000
        self._cost += cost
        self._service.observe(self._plan.decision.id, name, ms, cost, is_good=is_good)

    def _done(
        self, phase: Phase, reply: ModelReply, route: Route | None = None, name: str = ""
    ) -> Thought:
        self._settle(route or self._plan.decision.route, name, is_good=True)
        return Thought(reply, phase, self._plan)

    def _settle(self, route: Route, name: str, *, is_good: bool) -> None:
        """Say what came of it; *name* = another endpoint answered than was decided."""
        decision = self._plan.decision
        told = "; ".join(_said(failure) for failure in self._failures)
        reason = f"{decision.reason}; {told}" if told else decision.reason
        actual = msgspec.structs.replace(
            decision,
            route=route,
            endpoint=name or decision.endpoint,
            refine="" if name else decision.refine,
            reason=reason,
            actual_ms=(self._host.clock.monotonic() - self._began) * 1000,
            actual_cost=self._cost,
        )
        self._service.settle(actual, is_good=is_good)
        self._plan.decision = actual


async def _unheard(part: ModelPart) -> bool:
    """Parts of a hybrid are not told: two answers would be mixed."""
    return False


def _said(failure: Failure) -> str:
    if isinstance(failure, ModelError):
        return f"{failure.endpoint!r} failed: {failure.code}"
    return f"not enough {failure.unit} left"


def _route_of(other: Candidate) -> Route:
    return "local_fallback" if other.is_local else "cloud"
