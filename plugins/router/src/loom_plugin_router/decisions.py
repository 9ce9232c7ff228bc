"""The decisions: kept in memory to be asked for, and on disk to outlive a restart."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from loom.contracts import RouteDecision
from loom_kernel import Host

from loom_plugin_router.keeping import Keeping

EVERY = 1.0
"""Seconds between writings."""


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which decisions are wanted; what is empty says nothing."""

    agent: str = ""
    route: str = ""
    endpoint: str = ""
    event_id: str = ""
    id: str = ""
    since: float = 0.0
    """UNIX seconds."""
    until: float = 0.0
    limit: int = 100

    def fits(self, decision: RouteDecision) -> bool:
        """Whether *decision* is wanted."""
        return (
            (not self.agent or decision.agent == self.agent)
            and (not self.route or decision.route == self.route)
            and (not self.endpoint or self.endpoint in (decision.endpoint, decision.refine))
            and (not self.event_id or decision.event_id == self.event_id)
            and (not self.id or decision.id == self.id)
            and decision.time >= self.since
            and (not self.until or decision.time <= self.until)
        )


class Decisions:
    """The last *most* decisions."""

    def __init__(self, host: Host, keeping: Keeping, most: int) -> None:
        self._host = host
        self._keeping = keeping
        self._most = most
        self._known: OrderedDict[str, RouteDecision] = OrderedDict(
            (decision.id, decision) for decision in keeping.decisions(most)
        )
        self._unwritten: dict[str, RouteDecision] = {}
        self._writing: asyncio.Future[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._known)

    def put(self, decision: RouteDecision) -> None:
        """Keep *decision*, instead of what was known of it."""
        self._known[decision.id] = self._unwritten[decision.id] = decision
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def get(self, id: str) -> RouteDecision | None:
        """What is known of decision *id*."""
        return self._known.get(id)

    def find(self, query: Query) -> list[RouteDecision]:
        """What fits *query*, newest first."""
        found: list[RouteDecision] = []
        for decision in reversed(self._known.values()):
            if len(found) >= query.limit:
                break
            if query.fits(decision):
                found.append(decision)
        return found

    async def stay(self, learned: Callable[[], bytes]) -> None:
        """Write what is new, and what was *learned*, every so many seconds."""
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            await self._host.clock.sleep(EVERY)
            if self._unwritten and not self._is_closed:
                self._writing = loop.run_in_executor(None, self._write, *self._new(), learned())
                await asyncio.shield(self._writing)

    async def aclose(self, learned: bytes) -> None:
        """Write what is new, and what was *learned*, after what is being written."""
        self._is_closed = True
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if self._unwritten:
            self._write(*self._new(), learned)

    def _new(self) -> tuple[list[RouteDecision], bool]:
        """What is to be written, and whether that is all there is."""
        is_whole = self._keeping.is_long(self._most)
        chosen = self._known if is_whole else self._unwritten
        decisions = list(chosen.values())
        self._unwritten.clear()
        return decisions, is_whole

    def _write(self, decisions: list[RouteDecision], is_whole: bool, learned: bytes) -> None:
        lines = [msgspec.json.encode(decision) for decision in decisions]
        try:
            if is_whole:
                self._keeping.rewrite(lines)
            else:
                self._keeping.add(lines)
            self._keeping.keep_learned(learned)
        except OSError as error:
            self._host.log.error("decisions are not on disk: %s", error)
