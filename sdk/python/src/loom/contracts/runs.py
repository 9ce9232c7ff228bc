"""A recorded run: everything that agents could not know by themselves, in the order it came.

A file of it is text, one JSON object a line: a `RunHeader`, then a `Handling` for each event that
an agent was done with, in the order of their ends. A replay gives the same to the agents' code, and
compares what that says with what it said.
"""

from __future__ import annotations

from typing import Any

import msgspec

RUN_FORMAT = 1


class RunHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run began with."""

    format: int
    app: str
    """The name of the app."""
    agents: dict[str, dict[str, Any]]
    """What each agent knew before its first event in the file."""
    config: dict[str, dict[str, Any]] = {}
    """Each agent's table of `loom.toml`."""
    loom: str = ""
    """The version that wrote it."""


class Emission(msgspec.Struct, omit_defaults=True):
    """An event that the handling published; *replies* came to the inbox that it named."""

    topic: str
    type: str = ""
    data: Any = None
    subject: str = ""
    replies: list[dict[str, Any]] = []


class CalledTool(msgspec.Struct, omit_defaults=True):
    """A tool that the handling called, and what came of it."""

    name: str
    arguments: Any
    result: dict[str, Any]
    labels: list[str] = []


class Handling(msgspec.Struct, omit_defaults=True):
    """How one agent handled one event."""

    number: int
    """Counts the handlings of this Loom, from 1."""
    agent: str
    event: dict[str, Any]
    """The event, every reserved name present."""
    began: float
    """UNIX seconds."""
    ended: float
    outcome: str = "done"
    """`done`, or the class of the error that it ended in."""
    error: str = ""
    emitted: list[Emission] = []
    calls: list[CalledTool] = []
    clock: list[float] = []
    """What the agent's clock said, reading by reading."""
    state: dict[str, Any] | None = None
    """What the agent knew afterwards, if that was something else than before."""
