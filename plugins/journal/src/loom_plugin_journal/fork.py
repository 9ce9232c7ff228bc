"""A fork: a new journal that goes on from a moment of a recorded run.

In it every agent knows what it knew then, and has waiting what it had: the events of the record
that it had not handled by then, except those that were caused later; these will be caused anew, or
not, by whatever goes on from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import Handling, RunHeader, canonical
from loom.replay import RunUnreadable, envelope_of
from loom_kernel import LoomError

from loom_plugin_journal.flight import Progress
from loom_plugin_journal.records import Append, Batch, body_of, encode
from loom_plugin_journal.sqlite import FILE, SqliteStore


class Fork(msgspec.Struct, frozen=True):
    """What a fork begins with."""

    at: int
    agents: dict[str, dict[str, Any]]
    waiting: dict[str, int]
    """How many events each agent has waiting."""


def fork(header: RunHeader, handlings: list[Handling], at: int, folder: Path) -> Fork:
    """Write the journal of a fork after handling number *at* to *folder*.

    Raises:
        RunUnreadable: the run has no such handling.
        LoomError: there is a journal in *folder* already.
    """
    numbers = [handling.number for handling in handlings]
    if at and at not in numbers:
        known = f"it has {numbers[0]} to {numbers[-1]}" if numbers else "it has none"
        raise RunUnreadable(f"the run has no handling {at}; {known} (0 = before all)")
    if (folder / FILE).exists():
        raise LoomError(f"there is a journal in {folder} already; name another --state")
    done = [one for one in handlings if one.number <= at and one.outcome == "done"]
    states = {**header.agents, **{h.agent: h.state for h in done if h.state is not None}}
    waiting = _waiting(handlings, at)
    batch, progress = Batch(), _Consumers()
    for sequence, (handling, topic) in enumerate(waiting, 1):
        event = envelope_of(handling.event)
        batch.appends.append(Append(topic, body_of(event), event.time))
        progress.add(handling.agent, topic, sequence)
    for agent in {handling.agent for handling in handlings}:
        batch.values["consumer", f"agent:{agent}"] = encode(progress.of(agent))
        if states.get(agent):
            batch.values["state", agent] = canonical(states[agent])
    names = sorted(f"agent:{agent}" for agent in {handling.agent for handling in handlings})
    batch.values["meta", "consumers"] = encode(names)
    batch.is_flushed = True
    store = SqliteStore(folder)
    try:
        store.commit(batch)
    finally:
        store.close()
    return Fork(at, states, progress.counts())


def _waiting(handlings: list[Handling], at: int) -> list[tuple[Handling, str]]:
    """What was not handled by then and not caused later, each once for each agent, in order."""
    done = {(one.agent, one.event["id"]) for one in handlings if one.number <= at}
    later = {one.event["id"] for one in handlings if one.number > at}
    found: dict[tuple[str, str], Handling] = {}
    for one in handlings:
        key = (one.agent, one.event["id"])
        is_caused_later = one.event.get("causation_id") in later
        if one.number > at and key not in done and not is_caused_later:
            found.setdefault(key, one)
    order = sorted(found.values(), key=lambda one: (one.event["time"], one.event["id"]))
    return [(one, one.event["topic"]) for one in order]


class _Consumers:
    """What each agent has waiting, by records of the new log."""

    def __init__(self) -> None:
        self._left: dict[str, list[int]] = {}
        self._topics: dict[str, dict[str, None]] = {}
        self._numbers: dict[str, int] = {}
        self._last = 0

    def add(self, agent: str, topic: str, sequence: int) -> None:
        self._left.setdefault(agent, []).append(sequence)
        self._topics.setdefault(agent, {})[topic] = None
        self._last = sequence

    def of(self, agent: str) -> Progress:
        number = self._numbers.setdefault(agent, len(self._numbers) + 1)
        patterns = tuple(self._topics.get(agent, ()))
        return Progress(number, patterns, self._last + 1, self._left.get(agent, []), {}, 0.0)

    def counts(self) -> dict[str, int]:
        return {agent: len(left) for agent, left in self._left.items()}
