"""Budgets: what an event and all that it causes may spend.

Units are names. Loom itself knows `events` (published), `calls` (of tools), `hops` (the longest
chain of causes) and `seconds` (since the first event); whoever spends something else, tokens or
money, says so with the name that its owner limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from loom_kernel import Envelope

from loom.contracts.deliveries import Reject


class BudgetExceeded(Reject):
    """What is asked for would cost more than what is left; it was not done, nothing was spent."""

    def __init__(self, unit: str, wanted: float, left: float, thread: str) -> None:
        super().__init__(
            f"{wanted:g} {unit} would be more than the {left:g} that thread {thread!r} may still "
            "spend; publish its first event with a larger budget, or let it cause less"
        )
        self.unit = unit
        self.thread = thread
        self.wanted = wanted
        self.left = left


class Budgets(Protocol):
    """Keeps the accounts. An account belongs to a first event, or to one that was given less."""

    def spend(self, event: Envelope, costs: Mapping[str, float]) -> None:
        """Take *costs*, by unit, from what *event* and its causes may spend: all, or nothing.

        Call it before what costs. What turns out cheaper is given back with negative costs; what
        turns out dearer is spent too, even if that is more than what is left: `settle`.

        Raises:
            BudgetExceeded: one unit does not suffice; nothing is taken.
        """
        ...

    def settle(self, event: Envelope, costs: Mapping[str, float]) -> None:
        """Take *costs* that have arisen already, whatever is left; less than 0 gives back."""
        ...

    def left(self, event: Envelope) -> dict[str, float]:
        """What *event* may still spend, by unit; units without a limit are not there."""
        ...
