"""Reports for people and for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loom_plugin_bench.rows import Group, Range, Row, Summary

HEADER = ("case", "figure", "x of limit", "gate", "aim", "verdict")
UNITS = {
    "ns": "ns",
    "us": "µs",
    "ms": "ms",
    "mb": "MB",
    "percent": "%",
    "rate": "/CPU-s",
    "second": "/s",
}


def machine() -> str:
    """One line on what these figures belong to."""
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.release()} {platform.machine()}, {os.cpu_count()} x {_processor()}{load}"
    )


def render(group: Group, summaries: Iterable[Summary]) -> str:
    """*group* as a table."""
    lines = [HEADER, *(_cells(summary) for summary in summaries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    table.insert(1, "  ".join("-" * width for width in widths))
    title = f"## {group.title}" + (f"\n{group.note}" if group.note else "")
    return "\n".join([title, *table])


def to_json(group: Group, summary: Summary) -> dict[str, Any]:
    """*summary* as JSON-shaped data."""
    return {
        "group": group.name,
        **asdict(summary.row),
        "figure": summary.figure,
        "compared": summary.compared,
        "verdict": summary.verdict,
        "problem": summary.problem,
    }


def _cells(summary: Summary) -> tuple[str, ...]:
    row = summary.row
    goal = _goal(row)
    if summary.figure is None:
        return (row.label, f"not measured: {summary.problem}", "", *goal, "not measured")
    figure = f"{_spread(summary.figure)} {_unit(row.metric)}"
    if summary.compared is None:
        compared = summary.problem
    else:
        sign, unit = ("+", f" {_unit(row.metric)}") if row.compare == "extra" else ("", "")
        compared = f"{sign}{_spread(summary.compared)}{unit}"
    return (row.label, figure, compared, *goal, summary.verdict)


def _goal(row: Row) -> tuple[str, str]:
    if row.goal is None:
        return "", ""
    mark = "≥" if row.goal.sense == "at least" else "≤"
    aim = "" if row.goal.aim is None else f"{mark} {row.goal.aim:g}"
    return f"{mark} {row.goal.gate:g}", aim


def _spread(values: Range) -> str:
    middle, low, high = (_number(value) for value in values)
    return middle if low == high else f"{middle} [{low}..{high}]"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _unit(metric: str) -> str:
    return UNITS.get(metric.rpartition("_")[2], "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or "unknown processor"
