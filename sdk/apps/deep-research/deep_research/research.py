"""Researches that are under way, each with what it knows by now; kept in the lead's state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from deep_research.findings import Evidence, Method


class Answer(msgspec.Struct, frozen=True):
    """What is known of one question."""

    evidence: list[Evidence] = []
    dropped: int = 0
    """Claims that could not be verified."""
    method: Method = "model"
    failure: str = ""


class Research(msgspec.Struct, kw_only=True):
    """One query on its way to a report."""

    id: str
    query: str
    questions: list[str]
    by: Literal["model", "rules"]
    """Who found the questions."""
    asked: float
    """UNIX seconds."""
    deadline: float
    """UNIX seconds after which the report is written with what there is."""
    labels: list[str] = []
    """Of all that led to it."""
    answers: dict[str, Answer] = {}
    """By the number of the question, from 1."""

    @property
    def is_complete(self) -> bool:
        """Whether every question was answered, or cannot be."""
        return len(self.answers) >= len(self.questions)

    @property
    def missing(self) -> dict[int, str]:
        """The questions without an answer, and why."""
        late = f"no answer within {self.deadline - self.asked:.0f} s"
        found: dict[int, str] = {}
        for number in range(1, len(self.questions) + 1):
            answer = self.answers.get(str(number))
            if answer is None:
                found[number] = late
            elif not answer.evidence:
                found[number] = answer.failure or "nothing that was said of it could be verified"
        return found

    @property
    def evidence(self) -> list[Evidence]:
        """All of it, in the order of the questions."""
        numbers = range(1, len(self.questions) + 1)
        answers = (self.answers.get(str(number), Answer()) for number in numbers)
        return [one for answer in answers for one in answer.evidence]

    @property
    def dropped(self) -> int:
        """Claims that could not be verified."""
        return sum(answer.dropped for answer in self.answers.values())


class Researches:
    """Those under way, in *state*."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._known: dict[str, Any] = state.setdefault("researches", {})

    def __iter__(self) -> Iterator[Research]:
        return iter([msgspec.convert(one, Research) for one in self._known.values()])

    def get(self, id: str) -> Research | None:
        """The one of that *id*, if it is under way."""
        known = self._known.get(id)
        return None if known is None else msgspec.convert(known, Research)

    def keep(self, research: Research) -> None:
        """Remember *research* as it is now."""
        self._known[research.id] = msgspec.to_builtins(research)

    def drop(self, research: Research) -> None:
        """It is over."""
        self._known.pop(research.id, None)

    def add(self, research: Research, number: int, answer: Answer) -> None:
        """Take *answer* in; what other questions have found already is not said twice."""
        known = {(one.url, one.quote) for one in research.evidence}
        new = [one for one in answer.evidence if (one.url, one.quote) not in known]
        failure = answer.failure
        if answer.evidence and not new:
            failure = "nothing was found beyond what the other questions brought"
        research.answers[str(number)] = msgspec.structs.replace(
            answer, evidence=new, failure=failure
        )
        self.keep(research)
