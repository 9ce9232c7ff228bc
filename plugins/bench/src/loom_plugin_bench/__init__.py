"""Measures the bus beside the raw limit of the machine.

Names are loaded when they are first used: what the workload is made of needs nothing but the
standard library, so that other event libraries can be measured with it in their own environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom_plugin_bench.cases import CASES, bench_case
    from loom_plugin_bench.harness import Case, Figures, Measured, measure
    from loom_plugin_bench.matching import HOT, hot_topics, new_topics, patterns, per_lookup
    from loom_plugin_bench.report import machine, render, to_json
    from loom_plugin_bench.rows import Goal, Group, Row, Summary, summarise
    from loom_plugin_bench.workload import (
        Meter,
        Sink,
        Stopwatch,
        batch_of,
        drive,
        drive_paced,
        make_payload,
        topic_names,
    )

_HOMES = {
    "cases": ("CASES", "bench_case"),
    "harness": ("Case", "Figures", "Measured", "measure"),
    "matching": ("HOT", "hot_topics", "new_topics", "patterns", "per_lookup"),
    "report": ("machine", "render", "to_json"),
    "rows": ("Goal", "Group", "Row", "Summary", "summarise"),
    "workload": (
        "Meter", "Sink", "Stopwatch", "batch_of", "drive", "drive_paced", "make_payload",
        "topic_names",
    ),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = [
    "CASES",
    "HOT",
    "Case",
    "Figures",
    "Goal",
    "Group",
    "Measured",
    "Meter",
    "Row",
    "Sink",
    "Stopwatch",
    "Summary",
    "batch_of",
    "bench_case",
    "drive",
    "drive_paced",
    "hot_topics",
    "machine",
    "make_payload",
    "measure",
    "new_topics",
    "patterns",
    "per_lookup",
    "render",
    "summarise",
    "to_json",
    "topic_names",
]
