"""Accounts: what was spent of what may be, along the tree of causes.

An event without a cause opens the account of its trace. One that was given less than its cause had
opens an account below: what is spent there counts in every account above it too, so the whole is
never more than what the first event was given, however it is split.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from loom.contracts import BudgetExceeded
from loom_kernel import Envelope

EVENTS = {"events": 1.0}
_MEASURED = ("hops", "seconds")
"""Units that are read off the event and the clock; nobody spends them."""


class Account:
    """What may be spent, and what was."""

    __slots__ = ("began", "limits", "spent", "thread", "upper")

    def __init__(
        self, limits: Mapping[str, float], began: float, thread: str, upper: Account | None
    ) -> None:
        self.limits = limits
        self.spent: dict[str, float] = {}
        self.began = began
        self.thread = thread
        self.upper = upper

    def check(self, costs: Mapping[str, float]) -> None:
        """See that *costs* are there, here and in all accounts above.

        Raises:
            BudgetExceeded: they are not.
        """
        account: Account | None = self
        while account is not None:
            for unit, cost in costs.items():
                limit = account.limits.get(unit)
                if limit is not None and cost > 0 and account.spent.get(unit, 0.0) + cost > limit:
                    left = max(limit - account.spent.get(unit, 0.0), 0.0)
                    raise BudgetExceeded(unit, cost, left, account.thread)
            account = account.upper

    def take(self, costs: Mapping[str, float]) -> None:
        """Count *costs*, here and in all accounts above."""
        account: Account | None = self
        while account is not None:
            for unit, cost in costs.items():
                account.spent[unit] = max(account.spent.get(unit, 0.0) + cost, 0.0)
            account = account.upper

    def measure(self, hop: int, now: float) -> None:
        """See that the chain of causes is not too long, and has not lasted too long.

        Raises:
            BudgetExceeded: it is, or it has.
        """
        measured = {"hops": float(hop), "seconds": now - self.began}
        for unit in _MEASURED:
            limit = self.limits.get(unit)
            if limit is not None and measured[unit] > limit:
                raise BudgetExceeded(unit, measured[unit], limit, self.thread)
        if self.upper is not None:
            self.upper.measure(hop, now)

    def left(self) -> dict[str, float]:
        """What may still be spent here, by unit, also for the accounts above."""
        above = self.upper.left() if self.upper is not None else {}
        own = {unit: limit - self.spent.get(unit, 0.0) for unit, limit in self.limits.items()}
        return {
            unit: max(min(own.get(unit, amount), amount), 0.0) for unit, amount in above.items()
        } | {unit: max(amount, 0.0) for unit, amount in own.items() if unit not in above}


class Accounts:
    """Finds the account of an event. At most *most* are kept of each kind."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._roots: OrderedDict[str, Account] = OrderedDict()
        """By trace."""
        self._narrowed: OrderedDict[str, Account] = OrderedDict()
        """By the event that spends from it, where that is not the account of its trace."""

    def __len__(self) -> int:
        return len(self._roots) + len(self._narrowed)

    def of(self, event: Envelope) -> Account | None:
        """What *event* spends from; None if it has no limit."""
        known = self._narrowed.get(event.id)
        if known is not None:
            self._narrowed.move_to_end(event.id)
            return known
        if event.budget is None:
            return None
        return self._root(event)

    def enter(self, event: Envelope) -> Account | None:
        """The account of a caused *event* that is being published."""
        if event.budget is None:
            return None
        upper = self._narrowed.get(event.causation_id) or self._root(event)
        if upper.limits == event.budget:
            if upper.upper is not None:
                self._keep(self._narrowed, event.id, upper)
            return upper
        lower = Account(event.budget, event.time, event.thread_id, upper)
        self._keep(self._narrowed, event.id, lower)
        return lower

    def open(self, event: Envelope) -> None:
        """Open the account of *event*, which nothing caused."""
        if event.budget is not None:
            account = Account(event.budget, event.time, event.thread_id, None)
            account.take(EVENTS)
            self._keep(self._roots, event.trace_id, account)

    def _root(self, event: Envelope) -> Account:
        known = self._roots.get(event.trace_id)
        if known is None:  # it came from before this start, or was not used for long
            known = Account(event.budget or {}, event.time, event.thread_id, None)
            self._keep(self._roots, event.trace_id, known)
        else:
            self._roots.move_to_end(event.trace_id)
        return known

    def _keep(self, accounts: OrderedDict[str, Account], key: str, account: Account) -> None:
        accounts[key] = account
        if len(accounts) > self._most:
            accounts.popitem(last=False)
