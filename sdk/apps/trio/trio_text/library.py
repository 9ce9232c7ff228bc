"""A folder of texts, searched sentence by sentence."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

K1, B = 1.2, 0.75
"""The usual parameters of BM25 (Robertson and Zaragoza, 2009): saturation, and length."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ("ing", "ers", "er", "es", "ed", "s")


class Passage(msgspec.Struct, frozen=True):
    """One sentence, where it stands, and how well it fits what was asked."""

    text: str
    source: str
    score: float = 0.0


class Library:
    """Passages, ranked by BM25."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = [(passage, Counter(words(passage.text))) for passage in passages]
        self._frequency = Counter(word for _, counts in self._passages for word in counts)
        lengths = [counts.total() for _, counts in self._passages]
        self._length = sum(lengths) / len(lengths) if lengths else 1.0

    @classmethod
    def read(cls, folder: Path) -> Self:
        """All sentences of the `.md` files in *folder*, headings left out."""
        return cls(
            Passage(sentence.strip(), file.name)
            for file in sorted(folder.glob("*.md"))
            for line in file.read_text("utf-8").split("\n\n")
            if not line.startswith("#")
            for sentence in _SENTENCE.split(line.replace("\n", " "))
            if sentence.strip()
        )

    def search(self, query: str, limit: int) -> list[Passage]:
        """The passages that say most about *query*, the best first; none that say nothing."""
        asked = set(words(query))
        scored = [
            msgspec.structs.replace(passage, score=round(self._score(asked, counts), 3))
            for passage, counts in self._passages
        ]
        found = [passage for passage in scored if passage.score > 0]
        return sorted(found, key=lambda passage: -passage.score)[:limit]

    def _score(self, asked: set[str], counts: Counter[str]) -> float:
        norm = K1 * (1 - B + B * counts.total() / self._length)
        return sum(
            self._rarity(word) * counts[word] * (K1 + 1) / (counts[word] + norm)
            for word in asked
            if word in counts
        )

    def _rarity(self, word: str) -> float:
        known = self._frequency[word]
        return math.log(1 + (len(self._passages) - known + 0.5) / (known + 0.5))


def words(text: str) -> list[str]:
    """The words of *text* in lower case, English endings cut off; short ones left out."""
    found = [match.group().lower() for match in _WORD.finditer(text)]
    return [_stem(word) for word in found if len(word) > 3]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
