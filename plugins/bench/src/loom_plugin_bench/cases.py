"""Every measurement by name, and the command that runs one in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial

from loom_plugin_bench import buses, limits
from loom_plugin_bench.harness import Case, Figures
from loom_plugin_bench.workload import topic_names

COPIES = 10
TOPICS = 100
PUBLISHERS = (1, 2, 4, 8)
SUBSCRIPTIONS = (10, 1_000, 100_000)
LEVELS: tuple[buses.Qos, ...] = ("realtime", "batched", "background")

#: Name → what takes the seconds to run for and returns the figures.
CASES: dict[str, Callable[[float], Awaitable[Figures]]] = {
    "limit/one": limits.one,
    "limit/fan-out": partial(limits.fan_out, copies=COPIES),
    "limit/topics": partial(limits.topics, count=TOPICS),
    "limit/latency": limits.latency,
    "limit/lookup": limits.lookup,
    "loom/one": buses.one,
    "loom/realtime": partial(buses.one, qos="realtime", is_filtered=False),
    "loom/pressed": buses.pressed,
    "loom/caused": buses.caused,
    "loom/fan-out": partial(buses.fan_out, copies=COPIES),
    "loom/topics": partial(buses.topics, count=TOPICS),
    "loom/latency": buses.latency,
    "loom/unfiltered": partial(buses.one, is_filtered=False),
    "loom/types": partial(buses.one, is_filtered=False, types=tuple(topic_names(1))),
}
CASES |= {f"loom/qos-{level}": partial(buses.one, qos=level) for level in LEVELS}
CASES |= {f"limit/publishers-{n}": partial(limits.one, publishers=n) for n in PUBLISHERS}
CASES |= {f"loom/publishers-{n}": partial(buses.one, publishers=n) for n in PUBLISHERS}
CASES |= {f"loom/match-{n}": partial(buses.match_hot, count=n) for n in SUBSCRIPTIONS}
CASES |= {f"loom/first-{n}": partial(buses.match_first, count=n) for n in SUBSCRIPTIONS}
CASES |= {f"loom/churn-{n}": partial(buses.match_churn, count=n) for n in SUBSCRIPTIONS}


def bench_case(name: str, seconds: float) -> Case:
    """The measurement *name* of `CASES`, run for about *seconds*."""
    command = (sys.executable, "-P", "-m", "loom_plugin_bench", name, str(seconds))
    return Case(name, command)
