"""Which pieces of context matter most for a goal.

By the words that both share, rare words counting more (BM25's inverse document frequency,
Robertson and Zaragoza, 2009), then by importance, then by age.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import msgspec

_WORD = re.compile(r"[^\W_]+")
K1, B = 1.2, 0.75


class Piece(msgspec.Struct, frozen=True):
    """Something that may help: later ones of a sequence count as newer."""

    text: str
    source: str = "context"
    importance: float = 0.5
    """0 to 1, by the account of whoever gives it."""


class ContextRanker:
    """Orders pieces of context. Words in common weigh most, then importance, then newness."""

    def __init__(self, importance: float = 0.1, newness: float = 0.05) -> None:
        """*importance* and *newness* are what the two are worth beside a full match of words."""
        self._importance = importance
        self._newness = newness

    def rank(self, goal: str, pieces: Sequence[Piece]) -> list[Piece]:
        """*pieces*, the most relevant first."""
        words = [Counter(_words(piece.text)) for piece in pieces]
        scores = _overlaps(set(_words(goal)), words)
        best = max(scores, default=0.0) or 1.0
        last = max(len(pieces) - 1, 1)

        def worth(place: int) -> float:
            extra = self._importance * pieces[place].importance + self._newness * place / last
            return scores[place] / best + extra

        return [pieces[place] for place in sorted(range(len(pieces)), key=worth, reverse=True)]


def _overlaps(wanted: set[str], texts: Sequence[Counter[str]]) -> list[float]:
    mean = sum(text.total() for text in texts) / max(len(texts), 1) or 1.0
    scores = [0.0] * len(texts)
    for word in wanted:
        holders = [place for place, text in enumerate(texts) if word in text]
        rarity = math.log(1 + (len(texts) - len(holders) + 0.5) / (len(holders) + 0.5))
        for place in holders:
            count, length = texts[place][word], texts[place].total() / mean
            scores[place] += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * length))
    return scores


def _words(text: str) -> list[str]:
    return [word.casefold().removesuffix("s") for word in _WORD.findall(text) if len(word) > 1]
