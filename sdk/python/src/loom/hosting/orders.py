"""What a runtime and a child process with agents say to each other before the bridge is there.

The child reads one `Order`, a line of JSON, on its standard input, which stays open for as long
as the runtime lives. It writes `Report`s, lines of JSON too, to the descriptor that the order
names: one with the ids of its agents, then one that they have joined or why they cannot.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a child process has to do."""

    address: str
    token: str
    """Secret: it travels by a pipe, never by the command line or the environment."""
    file: str
    """The file with its agents."""
    app: str
    """The folder of the app."""
    parent: int
    """The process that it must not outlive."""
    tables: dict[str, Any] = {}
    """The tables of agents in the configuration, by id."""
    patience: float = 3.0
    """Seconds that its agents have to finish what they handle when they are stopped."""

    def __repr__(self) -> str:
        return f"Order(file={self.file!r}, address={self.address!r})"


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a child process is: a line of what it says on its standard output."""

    agents: tuple[str, ...] = ()
    """Ids of the agents that it is going to run."""
    is_ready: bool = False
    """They have joined the runtime."""
    error: str = ""
    """Why they cannot."""
