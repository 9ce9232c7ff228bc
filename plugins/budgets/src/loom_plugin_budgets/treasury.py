"""The treasury: every event that is published passes here, and every cost is asked for here."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from loom.contracts import BudgetExceeded
from loom_kernel import Envelope, Health, Host

from loom_plugin_budgets.accounts import EVENTS, Accounts

_FREE = ("$", "dlq.")
"""Topics that cost nothing: the runtime's own, replies, and what tells of failures."""


class Treasury:
    """See `loom.contracts.Budgets`."""

    def __init__(self, host: Host, default: Mapping[str, float], most: int) -> None:
        self._host = host
        self._default = dict(default) or None
        self._accounts = Accounts(most)
        self.refused = 0

    def passed(self, event: Envelope) -> Envelope:
        """Give a first event its budget; let a caused one spend from its cause's.

        What plugins tell of their work on an event (`tool.call.started`) costs nothing.

        Raises:
            BudgetExceeded: there is not enough left for *event*; nobody gets it.
        """
        if event.topic.startswith(_FREE):
            return event
        if not event.causation_id:
            if event.budget is None and self._default is not None:
                event = msgspec.structs.replace(event, budget=self._default)
            self._accounts.open(event)
            return event
        account = self._accounts.enter(event)
        if account is not None and event.sender not in self._host.world.names:
            try:
                account.measure(event.hop, self._host.clock.time())
                account.check(EVENTS)
            except BudgetExceeded:
                self.refused += 1
                raise
            account.take(EVENTS)
        return event

    def spend(self, event: Envelope, costs: Mapping[str, float]) -> None:
        account = self._accounts.of(event)
        if account is None:
            return
        try:
            account.measure(event.hop, self._host.clock.time())
            account.check(costs)
        except BudgetExceeded:
            self.refused += 1
            raise
        account.take(costs)

    def settle(self, event: Envelope, costs: Mapping[str, float]) -> None:
        account = self._accounts.of(event)
        if account is not None:
            account.take(costs)

    def left(self, event: Envelope) -> dict[str, float]:
        account = self._accounts.of(event)
        return account.left() if account is not None else {}

    def health(self) -> Health:
        """How many accounts there are, and how often there was not enough."""
        counts = {"accounts": float(len(self._accounts)), "refused": float(self.refused)}
        return Health(metrics=counts)
