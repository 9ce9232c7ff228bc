"""Topics and patterns to match, the same for whoever matches them.

Most patterns are literal, the others have each form of wildcard. A topic has four tokens, of which
all share the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from loom_plugin_bench.workload import Meter

AREAS, UNITS, KINDS = 40, 50, 50
HOT = 100
"""How many topics are published to again and again."""


def patterns(count: int) -> list[str]:
    """*count* patterns in the grammar of Loom."""
    forms = ["home.{a}.{u}.{k}"] * 80 + ["home.{a}.*.{k}"] * 10
    forms += ["home.*.{u}.{k}"] * 4 + ["home.{a}.{u}.>"] * 4 + ["home.{a}.>"] * 2
    random = Random(count)
    random.shuffle(forms)
    return [
        forms[number % len(forms)].format(
            a=f"area{random.randrange(AREAS)}",
            u=f"unit{random.randrange(UNITS)}",
            k=f"kind{random.randrange(KINDS)}",
        )
        for number in range(count)
    ]


def new_topics(seed: int) -> list[str]:
    """Half of all topics there are, none twice."""
    every = [
        f"home.area{a}.unit{u}.kind{k}"
        for a in range(AREAS)
        for u in range(UNITS)
        for k in range(KINDS)
    ]
    return Random(seed).sample(every, len(every) // 2)


def hot_topics(seed: int) -> list[str]:
    """`HOT` of the topics there are."""
    return new_topics(seed)[:HOT]


def per_lookup(table: Mapping[str, object], topics: list[str], meter: Meter) -> float:
    """Nanoseconds of CPU time for a call that finds one topic in *table*; all take turns."""

    def find(topic: str) -> object:
        return table[topic]

    rounds = 0
    while not meter.is_over:
        for _ in range(100):
            for topic in topics:
                find(topic)
        rounds += 100
    return meter.spent / (rounds * len(topics)) * 1e9
