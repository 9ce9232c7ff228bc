"""Key terms after RAKE: Rose, Engel, Cramer, Cowley, "Automatic keyword extraction" (2010).

Words between stop words and punctuation form runs. A word is worth the mean length of its runs,
so words that occur in company count for more. Differently from RAKE, the candidates are all parts
of runs of up to three words, weighed by how often they occur, and what occurs once comes last:
in short documents long accidental runs would win otherwise.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import msgspec

from desk_text.language import UNSPACED, stems, stop_words, words

LONGEST = 3
Key = tuple[str, ...]
_CLAUSE_END = re.compile(r"[.,;:!?()\[\]{}\"“”„«»|/\n\t…—–。、!?،؛]+|\s-\s")


class Term(msgspec.Struct, frozen=True):
    """A key term as it is mostly spelt, and how often it occurs in any form."""

    text: str
    count: int


def key_terms(passages: list[str], language: str, limit: int = 12) -> list[Term]:
    """The most telling terms, best first; empty for languages written without spaces."""
    if language in UNSPACED:
        return []
    counts: Counter[Key] = Counter()
    spelling: dict[Key, Counter[str]] = defaultdict(Counter)
    worth = _Worth()
    for run in (run for passage in passages for run in _runs(passage, language)):
        key = tuple(stems(run, language))
        worth.add(key)
        for first, last in _parts(len(run)):
            counts[key[first:last]] += 1
            spelling[key[first:last]][" ".join(run[first:last])] += 1
    chosen = _choose(sorted(counts, key=lambda key: worth.rank(key, counts[key])), counts, limit)
    return [Term(spelling[key].most_common(1)[0][0], counts[key]) for key in chosen]


class _Worth:
    """RAKE's value of a word: the mean length of the runs it occurs in."""

    def __init__(self) -> None:
        self._length: Counter[str] = Counter()
        self._count: Counter[str] = Counter()

    def add(self, run: Key) -> None:
        for word in run:
            self._length[word] += min(len(run), LONGEST)
            self._count[word] += 1

    def rank(self, key: Key, count: int) -> tuple[bool, float, Key]:
        value = sum(self._length[word] / self._count[word] for word in key)
        return count == 1, -count * value, key


def _choose(ranked: list[Key], counts: Counter[Key], limit: int) -> list[Key]:
    """The best of *ranked*, without what is only ever a part of a better one."""
    chosen: list[Key] = []
    for key in ranked:
        if len(chosen) == limit:
            break
        if not any(counts[key] <= counts[better] and _holds(better, key) for better in chosen):
            chosen.append(key)
    return chosen


def _holds(whole: Key, part: Key) -> bool:
    return any(whole[first:last] == part for first, last in _parts(len(whole)))


def _parts(length: int) -> Iterator[tuple[int, int]]:
    for first in range(length):
        for last in range(first + 1, min(first + LONGEST, length) + 1):
            yield first, last


def _runs(passage: str, language: str) -> Iterator[list[str]]:
    stops = stop_words(language)
    for clause in _CLAUSE_END.split(passage):
        run: list[str] = []
        for word in [*words(clause), ""]:
            if len(word) > 1 and word not in stops:
                run.append(word)
                continue
            if run:
                yield run
            run = []
