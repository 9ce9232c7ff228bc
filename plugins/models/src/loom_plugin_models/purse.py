"""What a question may take: asked for before it is sent, settled when the answer is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec
from loom.contracts import Budgets, ModelRequest, Usage
from loom.models import Endpoint
from loom_kernel import Envelope, Host, ServiceMissing

SHORTEST = 16
"""Tokens that an answer must be able to have; it is not worth asking for less."""


class Account(Protocol):
    """Somewhere that `tokens` and `money` are taken from."""

    def left(self) -> dict[str, float]:
        """What may still be spent, by unit; units without a limit are not there."""
        ...

    def spend(self, costs: Mapping[str, float]) -> None:
        """Take *costs*, all or nothing; raises if they are more than what is left."""
        ...

    def settle(self, costs: Mapping[str, float]) -> None:
        """Take *costs* that have arisen already; less than 0 gives back."""
        ...


class Purse:
    """Spends `tokens` and `money` of several *accounts* for one question."""

    def __init__(self, *accounts: Account) -> None:
        self._accounts = accounts
        self._taken: dict[str, float] = {}

    def take(self, request: ModelRequest, asked: int, chain: list[Endpoint]) -> ModelRequest:
        """Spend what *request* (*asked* tokens) can take at most, wherever in *chain* it ends.

        Its answer is allowed no more than what is left pays for.

        Raises:
            BudgetExceeded: its cause may not spend that much; nothing is spent.
            ModelError: nobody may today.
        """
        wanted = max(request.max_tokens or endpoint.max_tokens for endpoint in chain)
        rooms = [room for one in self._accounts for room in _affordable(one.left(), asked, chain)]
        most = max(min([wanted, *rooms]), min(wanted, SHORTEST))
        costs = {"tokens": float(asked + most)}
        if money := max(endpoint.cost(Usage(asked, most)) for endpoint in chain):
            costs["money"] = money
        self._spend(costs)
        return request if most == wanted else msgspec.structs.replace(request, max_tokens=most)

    def _spend(self, costs: dict[str, float]) -> None:
        done: list[Account] = []
        try:
            for account in self._accounts:
                account.spend(costs)
                done.append(account)
        except BaseException:
            for account in done:
                account.settle({unit: -cost for unit, cost in costs.items()})
            raise
        self._taken = costs

    def settle(self, usage: Usage) -> None:
        """The answer took *usage*: give back what was not needed."""
        taken, self._taken = self._taken, {}
        if not taken:
            return
        tokens = float(usage.input_tokens + usage.output_tokens)
        actual = {"tokens": tokens, "money": usage.cost}
        for account in self._accounts:
            account.settle({unit: actual[unit] - cost for unit, cost in taken.items()})


class CauseAccount:
    """What an event and all that it causes may spend."""

    def __init__(self, budgets: Budgets, cause: Envelope) -> None:
        self._budgets = budgets
        self._cause = cause

    def left(self) -> dict[str, float]:
        return self._budgets.left(self._cause)

    def spend(self, costs: Mapping[str, float]) -> None:
        self._budgets.spend(self._cause, costs)

    def settle(self, costs: Mapping[str, float]) -> None:
        self._budgets.settle(self._cause, costs)


def accounts_of(host: Host, cause: Envelope | None) -> list[Account]:
    """The account of *cause*, if budgets are kept."""
    if cause is None:
        return []
    try:
        return [CauseAccount(host.require(Budgets), cause)]
    except ServiceMissing:
        return []


def _affordable(left: dict[str, float], asked: int, chain: list[Endpoint]) -> list[int]:
    """How many tokens of answer each limit leaves."""
    found = []
    if "tokens" in left:
        found.append(int(left["tokens"]) - asked)
    for endpoint in chain if "money" in left else ():
        if endpoint.output_price:
            rest = left["money"] - endpoint.cost(Usage(asked, 0))
            found.append(int(rest * 1_000_000 / endpoint.output_price))
    return found
