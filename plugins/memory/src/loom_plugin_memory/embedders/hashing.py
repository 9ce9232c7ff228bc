"""The embedder `hashing`: no model, no network; texts are near that share words, stems, letters.

Signed feature hashing (Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning)
of words, pairs of words, and the n-grams of letters within words (as in fastText; Bojanowski et
al. 2017), with sublinear counts. It knows no synonyms: `car` is not near `automobile`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from sys import byteorder
from typing import Any

from loom_kernel import ConfigError

VERSION = 1
LONGEST = 8_000
"""Letters of a text that count."""
SHORT = 0.25
"""What a word of up to three letters weighs: most of those say little."""
PAIR = 0.5
GRAMS = range(3, 6)
_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """See `loom.contracts.Embedder`. The option `dimension` is 64 to 8192, 512 by default."""

    floor = 0.12
    """Above what texts of other words have by chance."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        if unknown := sorted(options.keys() - {"dimension"}):
            raise ConfigError(f"the embedder hashing knows no option {unknown[0]!r}")
        dimension = options.get("dimension", 512)
        if type(dimension) is not int or not 64 <= dimension <= 8192:
            raise ConfigError(f"dimension is {dimension!r}; it must be 64 to 8192")
        self.dimension = dimension
        self.name = f"hashing/{VERSION}/{dimension}"

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return await asyncio.to_thread(lambda: [vector_of(t, self.dimension) for t in texts])

    async def aclose(self) -> None:
        """Nothing is held."""


def vector_of(text: str, dimension: int) -> bytes:
    """The vector of *text*, of length 1 unless it has no words."""
    sums = [0.0] * dimension
    for feature, weight in _weights(text).items():
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
        sums[(number >> 1) % dimension] += weight if number & 1 else -weight
    length = math.sqrt(sum(number * number for number in sums)) or 1.0
    vector = array("f", [number / length for number in sums])
    if byteorder == "big":
        vector.byteswap()
    return vector.tobytes()


def _weights(text: str) -> dict[str, float]:
    """Each feature of *text*, and what it weighs: 1 + log(count), times its kind's weight."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    words = _WORD.findall(plain)
    counts: Counter[tuple[str, float]] = Counter()
    for word in words:
        counts.update(_features(word))
    counts.update((f"2 {one} {other}", PAIR) for one, other in pairwise(words))
    return {feature: weight * (1 + math.log(count)) for (feature, weight), count in counts.items()}


def _features(word: str) -> Iterator[tuple[str, float]]:
    """The word, and its n-grams: these share among them what the word weighs, twice."""
    weight = 1.0 if len(word) > 3 else SHORT
    yield f"1 {word}", weight
    marked = f"<{word}>"
    grams = [marked[i : i + n] for n in GRAMS for i in range(len(marked) - n + 1)]
    for gram in grams:
        yield f"3 {gram}", round(weight * 2 / math.sqrt(len(grams)), 6)
