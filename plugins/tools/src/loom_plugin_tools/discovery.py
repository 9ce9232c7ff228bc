"""Finding the few tools that fit, so that a model need not read the schemas of all.

Ranked by BM25 (Robertson and Zaragoza, 2009) over the words of a tool's name, description and
arguments; words of the name count more.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict

from loom.contracts import SEARCH, ToolDescriptor

from loom_plugin_tools.registry import Registry

K1, B = 1.2, 0.75
NAME_WEIGHT = 3
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Search:
    """An index over the highest versions in *registry*, made anew when that has changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._tools: list[ToolDescriptor] = []
        self._words: list[Counter[str]] = []
        self._postings: dict[str, list[int]] = {}
        self._mean = 1.0

    @property
    def count(self) -> int:
        """How many tools there are to be found."""
        self._refresh()
        return len(self._tools)

    def find(self, query: str, limit: int) -> list[ToolDescriptor]:
        """The *limit* tools that fit *query* best, the best first.

        Without a query the first by name; and all of them, if they are no more than *limit*.
        """
        self._refresh()
        ranked = self._ranked(set(_words(query)))
        if not query or len(self._tools) <= limit:
            ranked += [place for place in range(len(self._tools)) if place not in ranked]
        return [self._tools[place] for place in ranked[:limit]]

    def _ranked(self, words: set[str]) -> list[int]:
        scores: defaultdict[int, float] = defaultdict(float)
        for word in words:
            holders = self._postings.get(word, ())
            rarity = math.log(1 + (len(self._tools) - len(holders) + 0.5) / (len(holders) + 0.5))
            for place in holders:
                scores[place] += rarity * self._weight(place, word)
        return sorted(scores, key=lambda place: (-scores[place], self._tools[place].name))

    def _weight(self, place: int, word: str) -> float:
        count = self._words[place][word]
        length = self._words[place].total() / self._mean
        return count * (K1 + 1) / (count + K1 * (1 - B + B * length))

    def _refresh(self) -> None:
        if self._generation == self._registry.generation:
            return
        self._generation = self._registry.generation
        newest: dict[str, ToolDescriptor] = {}
        for tool in self._registry.list():
            if tool.name != SEARCH.name:
                newest.setdefault(tool.name, tool)
        self._tools = list(newest.values())
        self._words = [_of_tool(tool) for tool in self._tools]
        self._mean = sum(words.total() for words in self._words) / max(len(self._words), 1) or 1.0
        self._postings = {}
        for place, words in enumerate(self._words):
            for word in words:
                self._postings.setdefault(word, []).append(place)


def _of_tool(tool: ToolDescriptor) -> Counter[str]:
    words = Counter(_words(tool.description))
    for word in _words(tool.name):
        words[word] += NAME_WEIGHT
    for name, schema in tool.parameters.get("properties", {}).items():
        words.update(_words(name))
        if isinstance(schema, dict):
            words.update(_words(str(schema.get("description", ""))))
    return words


def _words(text: str) -> list[str]:
    """The words of *text*, in their plainest form: `readFiles` and `read_file` share both."""
    found = _WORD.findall(_CAMEL.sub(" ", text))
    return [_plain(word.casefold()) for word in found]


def _plain(word: str) -> str:
    """Without the ending that most often tells two forms of one word apart."""
    for ending in ("ing", "ies", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
