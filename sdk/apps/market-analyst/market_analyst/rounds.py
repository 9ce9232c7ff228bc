"""Complete or timeout: the analyses of one price, until there are enough to plan with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

KINDS = ("trend", "risk", "sentiment")
LEAST = {"complete_or_timeout": 2, "complete": 3}
"""By aggregation: how many analyses are enough when the time is over."""
MOST_OPEN = 200


class Round(msgspec.Struct, frozen=True):
    """One price of one symbol, and what was said of it so far."""

    symbol: str
    series: int
    timestamp_ms: int
    deadline: float
    """UNIX seconds after which it is not waited any longer."""
    price: dict[str, Any]
    analyses: dict[str, dict[str, Any]]
    """By kind."""
    labels: list[str]
    """Of all that came in: what is planned from it carries them."""

    @property
    def key(self) -> str:
        """Its name, the same in any process."""
        return f"{self.symbol}/{self.series}/{self.timestamp_ms}"

    @property
    def age(self) -> tuple[int, int]:
        """Grows with the time of the market; a new series is newer than the last one."""
        return self.series, self.timestamp_ms

    @property
    def is_complete(self) -> bool:
        return all(kind in self.analyses for kind in KINDS)

    @property
    def missing(self) -> list[str]:
        return [kind for kind in KINDS if kind not in self.analyses]


class Rounds:
    """The open rounds of all symbols, kept as JSON values in *state*.

    Prices of one symbol are decided on in their order: with one, all before it are over.
    """

    def __init__(self, state: dict[str, Any], aggregation: str = "complete_or_timeout") -> None:
        self._open: dict[str, dict[str, Any]] = state.setdefault("rounds", {})
        self._settled: dict[str, list[int]] = state.setdefault("settled", {})
        self._least = LEAST[aggregation]

    def __iter__(self) -> Iterator[Round]:
        return iter([msgspec.convert(known, Round) for known in self._open.values()])

    def get(self, key: str) -> Round | None:
        """The round of that key, if it is open."""
        known = self._open.get(key)
        return None if known is None else msgspec.convert(known, Round)

    def add(
        self, kind: str, said: Mapping[str, Any], deadline: float, labels: frozenset[str]
    ) -> Round | None:
        """Take in an analysis; its round, or None when that is over already.

        Raises:
            ValueError: it is of no known kind.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no analysis: {', '.join(KINDS)}")
        new = Round(
            said["symbol"], said["series"], said["timestamp_ms"], deadline, dict(said["price"]),
            {}, [],
        )  # fmt: skip
        if new.age <= tuple(self._settled.get(new.symbol, (-1, -1))):
            return None
        known = self.get(new.key) or new
        analyses = {**known.analyses, kind: dict(said["analysis"])}
        current = msgspec.structs.replace(
            known, analyses=analyses, labels=sorted({*known.labels, *labels})
        )
        self._open[current.key] = msgspec.to_builtins(current)
        return current

    def is_enough(self, wanted: Round) -> bool:
        """Whether a plan can be made although the time is over."""
        return len(wanted.analyses) >= self._least

    def settle(self, wanted: Round) -> list[Round]:
        """*wanted* is decided on: it is over, and so are those before it, which are returned."""
        self.drop(wanted)
        return [r for r in self if r.symbol == wanted.symbol and r.age < wanted.age]

    def drop(self, over: Round) -> None:
        """Wait for *over* no longer, nor for what comes late of it or of those before it."""
        self._open.pop(over.key, None)
        known = tuple(self._settled.get(over.symbol, (-1, -1)))
        self._settled[over.symbol] = list(max(known, over.age))

    def oldest_beyond_limit(self) -> Round | None:
        """The round that has to go because too many are open."""
        if len(self._open) <= MOST_OPEN:
            return None
        return self.get(next(iter(self._open)))
