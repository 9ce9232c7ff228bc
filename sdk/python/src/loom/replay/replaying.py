"""Giving agents the same again, in the order in which it was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from loom_kernel import Envelope, Host, LoomError, Paths, World, current
from loom_kernel.testing import run_virtual

from loom.agent import Agent
from loom.contracts import (
    AgentDefinition,
    Handling,
    Journal,
    Mailboxes,
    RemoteTools,
    RunHeader,
    canonical,
)
from loom.hosting import load_agents
from loom.replay.errors import Diverged
from loom.replay.files import read_run
from loom.replay.guard import nothing_happens
from loom.replay.recorded import RecordedBus, RecordedClock, envelope_of


class Difference(msgspec.Struct, frozen=True):
    """Where a replay is not what was recorded."""

    number: int
    """The handling's number in the file."""
    agent: str
    topic: str
    what: str


class ReplayReport(msgspec.Struct, frozen=True):
    """How a replay went."""

    handled: int
    differences: list[Difference]
    states: dict[str, dict[str, Any]]
    """What each agent knows at the end."""
    digest: str
    """SHA-256 of the states in canonical JSON: the same for the same run, on any machine."""

    @property
    def is_same(self) -> bool:
        """Whether the code said what it said when this was recorded."""
        return not self.differences

    def text(self) -> str:
        """What a person reads of it."""
        lines = [f"{d.number}  {d.agent} on {d.topic}: {d.what}" for d in self.differences] or [
            "the same"
        ]
        return "\n".join([*lines, f"{self.handled} events handled, state {self.digest}"])


def replay(file: Path, app: Path, *, until: int = 0) -> ReplayReport:
    """Replay the run in *file* with the agents of the folder *app*.

    *until* ends it after the handling of that number; 0 = at the end. Runs an event loop of its
    own, in which waiting takes no time.

    Raises:
        RunUnreadable: the file is no recorded run.
        LoomError: an agent of the run is not in the app.
        Exception: whatever the import of the agents raises.
    """
    header, handlings = read_run(file)
    wanted = [one for one in handlings if not until or one.number <= until]
    agents = _agents(app, header, wanted)
    return run_virtual(lambda: _replay(header, wanted, agents, app))


def _agents(app: Path, header: RunHeader, handlings: list[Handling]) -> dict[str, Agent]:
    found: dict[str, Agent] = {}
    for file in sorted((app / "agents").glob("*.py")):
        if not file.name.startswith("_"):
            found |= {agent.agent_id: agent for agent in load_agents(file)}
    missing = {handling.agent for handling in handlings} - set(found)
    if missing:
        known = ", ".join(sorted(found)) or "none"
        raise LoomError(
            f"{app} has no agent {', '.join(sorted(missing))}, which the run of {header.app!r} "
            f"needs; it has {known}"
        )
    return found


async def _replay(
    header: RunHeader, handlings: list[Handling], agents: Mapping[str, Agent], app: Path
) -> ReplayReport:
    differences: list[Difference] = []
    actors: dict[str, _Actor] = {}
    for id in sorted({handling.agent for handling in handlings}):
        actors[id] = _Actor(agents[id], header, id, app)
        await actors[id].start()
    for handling in handlings:
        actor = actors[handling.agent]
        for what in await actor.handle(handling):
            topic = str(handling.event.get("topic"))
            differences.append(Difference(handling.number, handling.agent, topic, what))
    for actor in actors.values():
        await actor.stop()
    states = {**header.agents, **{id: actor.state for id, actor in actors.items()}}
    digest = hashlib.sha256(canonical(states)).hexdigest()
    return ReplayReport(len(handlings), differences, states, digest)


class _Actor:
    """One agent in a world that only knows the record."""

    def __init__(self, agent: Agent, header: RunHeader, id: str, app: Path) -> None:
        self.id = id
        self._clock = RecordedClock()
        before = header.agents.get(id) or {}
        self._bus = RecordedBus(self._clock, canonical(before) if before else b"")
        paths = Paths(config=app, state=app / ".loom" / "replay", cache=app / ".loom", project=app)
        self._host = Host(World(self._bus, self._clock, paths, Random(id)), id)
        self._host.provide(RemoteTools, self._bus)
        self._host.provide(Journal, self._bus)
        self._host.provide(Mailboxes, _Mailbox())
        self._definition: AgentDefinition = agent.definition(header.config.get(id))

    @property
    def state(self) -> dict[str, Any]:
        return _decoded(self._bus.state)

    async def start(self) -> None:
        if self._definition.on_start is not None:
            with nothing_happens():
                await self._definition.on_start(self._host)

    async def handle(self, handling: Handling) -> list[str]:
        """Handle the event again; what differs."""
        before = self._bus.state
        self._bus.begin(handling)
        self._clock.begin(handling)
        outcome, text = await self._outcome(envelope_of(handling.event))
        self._clock.end()
        found = self._bus.end()
        if self._bus.failures:
            return self._bus.failures
        if outcome != handling.outcome:
            then = f"{handling.outcome} {handling.error}".strip()
            return [f"it ends with {outcome} {text}".strip() + f"; recorded was {then}"]
        expected = _decoded(before) if handling.state is None else handling.state
        if not found and self.state != expected:
            found = [f"it knows {_short(self.state)}; recorded was {_short(expected)}"]
        return found

    async def _outcome(self, event: Envelope) -> tuple[str, str]:
        """How it ends, in the words of `Handling.outcome`, and why."""
        token = current.set(event)
        try:
            with nothing_happens():
                await self._definition.on_event(self._host, event)
        except Exception as error:  # noqa: BLE001  # it is compared with the record
            if isinstance(error, Diverged) and not self._bus.failures:
                self._bus.failures.append(str(error))
            return type(error).__name__, str(error)
        finally:
            current.reset(token)
        return "done", ""

    async def stop(self) -> None:
        await self._host.aclose()


class _Mailbox:
    """Joining and leaving threads changes nothing: what came is in the record."""

    def subscribe(self, id: str, pattern: str) -> None: ...

    def unsubscribe(self, id: str, pattern: str) -> None: ...


def _decoded(state: bytes) -> dict[str, Any]:
    known: dict[str, Any] = msgspec.json.decode(state or b"{}")
    return known


def _short(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= 300 else f"{text[:300]}…"
