"""An extractive summary by SumBasic: Nenkova, Vanderwende, "The impact of frequency" (2005).

The sentence whose words are the most frequent on average is taken; then the frequency of its
words is squared, so the next sentence is about something else. Every sentence is the author's own.
"""

from __future__ import annotations

import re
from collections import Counter

from desk_text.language import UNSPACED, sentences, stems, stop_words, words

FEWEST_WORDS = 6
FEWEST_PAIRS = 8
LONGEST = 400
"""Characters a sentence of a summary may have."""
_WHOLE = re.compile(r"[\"'“”„«‘(¿¡]*[^\W_a-z].*[.!?…。！？؟।։][\"'“”»’)]*", re.DOTALL)
CANDIDATES = 2_000
"""Sentences that are weighed; a longer text is summed up from its beginning."""


def summarize(passages: list[str], language: str, limit: int = 5) -> list[str]:
    """At most *limit* sentences that say most of the text, in the order of the text."""
    split = (s for passage in passages for s in sentences(passage, language))
    found = [s for s in split if len(s) <= LONGEST and _WHOLE.fullmatch(s)][:CANDIDATES]
    weighed = {
        position: units
        for position, sentence in enumerate(found)
        if _is_full(sentence, language) and (units := _units(sentence, language))
    }
    total = Counter(unit for units in weighed.values() for unit in units)
    frequency = {unit: count / total.total() for unit, count in total.items()}
    chosen: list[int] = []
    while weighed and len(chosen) < min(limit, max(1, len(found) // 3)):
        best = max(weighed, key=lambda position: (_mean(weighed[position], frequency), -position))
        chosen.append(best)
        for unit in set(weighed.pop(best)):
            frequency[unit] **= 2
    return [found[position] for position in sorted(chosen)]


def _is_full(sentence: str, language: str) -> bool:
    if language in UNSPACED:
        return len(_units(sentence, language)) >= FEWEST_PAIRS
    return len(words(sentence)) >= FEWEST_WORDS


def _mean(units: list[str], frequency: dict[str, float]) -> float:
    return sum(frequency[unit] for unit in units) / len(units)


def _units(sentence: str, language: str) -> list[str]:
    """What is counted: stems of content words, or pairs of characters where words are unspaced."""
    if language in UNSPACED:
        letters = "".join(words(sentence))
        return [letters[start : start + 2] for start in range(len(letters) - 1)]
    stops = stop_words(language)
    return stems([word for word in words(sentence) if word not in stops], language)
