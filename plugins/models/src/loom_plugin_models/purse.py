"""What a question may take: asked for before it is sent, settled when the answer is there."""

from __future__ import annotations

import msgspec
from loom.contracts import Budgets, ModelRequest, Usage
from loom.models import Endpoint
from loom_kernel import Envelope, Host, ServiceMissing

SHORTEST = 16
"""Tokens that an answer must be able to have; it is not worth asking for less."""


class Purse:
    """Spends `tokens` and `money` of *cause* for one question."""

    def __init__(self, host: Host, cause: Envelope | None) -> None:
        self._cause = cause
        self._taken: dict[str, float] = {}
        try:
            self._budgets: Budgets | None = host.require(Budgets) if cause is not None else None
        except ServiceMissing:
            self._budgets = None

    def take(self, request: ModelRequest, asked: int, chain: list[Endpoint]) -> ModelRequest:
        """Spend what *request* (*asked* tokens) can take at most, wherever in *chain* it ends.

        Its answer is allowed no more than what is left of the budget pays for.

        Raises:
            BudgetExceeded: there is not enough left; nothing is spent.
        """
        if self._budgets is None or self._cause is None:
            return request
        wanted = max(request.max_tokens or endpoint.max_tokens for endpoint in chain)
        left = self._budgets.left(self._cause)
        most = max(min(wanted, *_affordable(left, asked, chain)), min(wanted, SHORTEST))
        costs = {"tokens": float(asked + most)}
        if money := max(endpoint.cost(Usage(asked, most)) for endpoint in chain):
            costs["money"] = money
        self._budgets.spend(self._cause, costs)
        self._taken = costs
        return request if most == wanted else msgspec.structs.replace(request, max_tokens=most)

    def settle(self, usage: Usage) -> None:
        """The answer took *usage*: give back what was not needed."""
        taken, self._taken = self._taken, {}
        if self._budgets is None or self._cause is None or not taken:
            return
        tokens = float(usage.input_tokens + usage.output_tokens)
        actual = {"tokens": tokens, "money": usage.cost}
        self._budgets.settle(
            self._cause, {unit: actual[unit] - cost for unit, cost in taken.items()}
        )


def _affordable(left: dict[str, float], asked: int, chain: list[Endpoint]) -> list[int]:
    """How many tokens of answer each limit leaves."""
    found = []
    if "tokens" in left:
        found.append(int(left["tokens"]) - asked)
    for endpoint in chain if "money" in left else ():
        if endpoint.output_price:
            rest = left["money"] - endpoint.cost(Usage(asked, 0))
            found.append(int(rest * 1_000_000 / endpoint.output_price))
    return found or [2**31]
