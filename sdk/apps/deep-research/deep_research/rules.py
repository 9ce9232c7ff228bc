"""Finding an answer without a model: the sentences that share the most telling words with it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from deep_research.findings import Claim, Page

SHORTEST, LONGEST = 30, 400
"""Characters of a sentence that may be quoted."""
STEM = 6
"""Letters by which words are held to be the same one."""
LEAST_SHARED = 2
"""Words of the question that a sentence has to share, if the question has that many."""
_WORD = re.compile(r"\w+")
_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_COMMON = {
    "about", "after", "again", "also", "another", "because", "been", "before", "being", "between",
    "both", "came", "could", "does", "doing", "down", "each", "from", "further", "have", "having",
    "here", "into", "itself", "just", "many", "more", "most", "much", "only", "other", "over",
    "same", "should", "some", "such", "than", "that", "their", "them", "then", "there", "these",
    "they", "this", "those", "through", "under", "until", "very", "want", "were", "what", "when",
    "where", "which", "while", "whom", "whose", "will", "with", "would", "your",
}  # fmt: skip


def find_claims(question: str, pages: Sequence[Page], most: int) -> list[Claim]:
    """Sentences of *pages* that speak of *question*, the best first; each is its own quote."""
    wanted = stems(question)
    sentences = {text: page for page in pages for text in _sentences(page.text)}
    shared = {text: wanted & stems(text) for text in sentences}
    least = min(LEAST_SHARED, len(wanted))
    counts = Counter(stem for found in shared.values() for stem in found)

    def weight(text: str) -> float:
        return sum(math.log(1 + len(sentences) / counts[stem]) for stem in shared[text])

    good = [text for text in sentences if wanted and len(shared[text]) >= least]
    best = sorted(good, key=weight, reverse=True)[:most]
    return [Claim(text, sentences[text].url, text) for text in best]


def stems(text: str) -> set[str]:
    """The words of *text* that tell something, cut short."""
    words = (word.casefold() for word in _WORD.findall(text))
    return {word[:STEM] for word in words if word not in _COMMON and _tells(word)}


def _tells(word: str) -> bool:
    return len(word) > 3 or not word.isascii() or word.isdigit()


def _sentences(text: str) -> Iterable[str]:
    for piece in _END.split(text):
        sentence = piece.strip()
        if SHORTEST <= len(sentence) <= LONGEST and not sentence.endswith("?"):
            yield sentence
