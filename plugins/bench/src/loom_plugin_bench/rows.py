"""Rows of a report: a figure, the same beside its limit, and what was promised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from loom_plugin_bench.harness import Figures, Measured

Range = tuple[float, float, float]
"""Median, smallest, largest."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is promised: *gate* at worst, *aim* at best. A rate wants more, a cost less."""

    gate: float
    aim: float | None = None
    sense: Literal["at least", "at most"] = "at least"

    def judge(self, value: float) -> str:
        """`aim met`, `met` or `missed`."""
        if self.aim is not None and self._reaches(value, self.aim):
            return "aim met"
        return "met" if self._reaches(value, self.gate) else "missed"

    def _reaches(self, value: float, target: float) -> bool:
        return value >= target if self.sense == "at least" else value <= target


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report: *metric* of *case*, compared inside each round with that of *limit*.

    `ratio` divides by the limit, `extra` subtracts it, `figure` compares with nothing and holds
    the goal against the figure itself.
    """

    label: str
    case: str
    metric: str = "rate"
    limit: str = ""
    goal: Goal | None = None
    compare: Literal["ratio", "extra", "figure"] = "ratio"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together; *note* says how they were measured."""

    name: str
    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A row with what was measured: medians over the rounds, with the smallest and the largest."""

    row: Row
    figure: Range | None
    compared: Range | None
    problem: str = ""

    @property
    def verdict(self) -> str:
        """`aim met`, `met`, `missed`, `not measured`, or nothing where nothing is promised."""
        if self.problem:
            return "not measured"
        judged = self.figure if self.row.compare == "figure" else self.compared
        if self.row.goal is None or judged is None:
            return ""
        return self.row.goal.judge(judged[0])


def summarise(row: Row, results: Mapping[str, Measured]) -> Summary:
    """What *results* say about *row*."""
    own, limit = results[row.case], results.get(row.limit)
    if own.problem or not own.rounds:
        return Summary(row, None, None, own.problem or "it was not run")
    figure = _range([figures[row.metric] for figures in own.rounds])
    if not row.limit or row.limit == row.case:
        return Summary(row, figure, None)
    if limit is None or limit.problem:
        problem = limit.problem if limit else "it was not run"
        return Summary(row, figure, None, f"no {row.limit} to compare with: {problem}")
    pairs = zip(own.rounds, limit.rounds, strict=False)
    return Summary(row, figure, _range([_compare(row)(a, b) for a, b in pairs]))


def _compare(row: Row) -> Callable[[Figures, Figures], float]:
    if row.compare == "extra":
        return lambda own, limit: own[row.metric] - limit[row.metric]
    return lambda own, limit: own[row.metric] / limit[row.metric]


def _range(values: list[float]) -> Range:
    return median(values), min(values), max(values)
