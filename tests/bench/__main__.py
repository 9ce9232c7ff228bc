"""The benchmark suite: `make bench`, or `python -m tests.bench --help`.

Each measurement runs in a process of its own, all in turn round by round. What is compared is
compared inside a round; a row shows the median over the rounds with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from loom_plugin_bench import Group, Measured, Summary, machine, measure, render, summarise, to_json

from tests.bench.cases import Plan, split
from tests.bench.environments import PEERS, ROOT, install_lite, install_peers, open_cache
from tests.bench.groups import GROUPS

ROUNDS, SECONDS, STARTS = 7, 0.5, 5
QUICK_ROUNDS, QUICK_SECONDS, QUICK_STARTS = 1, 0.15, 3


def say(text: str) -> None:
    """Tell what is going on, beside the report."""
    print(text, file=sys.stderr, flush=True)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    known = list(dict.fromkeys(group.name for group in GROUPS))
    parser.add_argument("--quick", action="store_true", help="one short round, no peers")
    parser.add_argument(
        "--only", action="append", choices=known, metavar="NAME",
        help=f"only this group: {', '.join(known)}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE too")
    parser.add_argument("--no-peers", action="store_true", help="neither install nor measure them")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / ".bench", metavar="DIR", help="default .bench"
    )
    return parser.parse_args(arguments)


def prepare(chosen: argparse.Namespace, names: set[str]) -> Plan:
    """Install what *names* need."""
    cache = open_cache(chosen.cache.resolve())
    lite: Path | str = "left out"
    if any(name.startswith("start/") for name in names):
        try:
            lite = install_lite(cache, say)
        except RuntimeError as error:
            lite = str(error)
    wanted = {name.partition("/")[0] for name in names} & PEERS.keys()
    has_peers = not (chosen.quick or chosen.no_peers)
    peers = install_peers(cache, sorted(wanted), say) if has_peers else {}
    seconds, starts = (QUICK_SECONDS, QUICK_STARTS) if chosen.quick else (SECONDS, STARTS)
    return Plan(seconds, starts, cache, lite, peers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, report, and return 0, or 1 if a measurement failed. A missed gate is no failure."""
    chosen = options(arguments)
    began = time.monotonic()
    groups = [group for group in GROUPS if not chosen.only or group.name in chosen.only]
    names = [name for group in groups for row in group.rows for name in (row.case, row.limit)]
    plan = prepare(chosen, set(names))
    cases, missing = split(plan, filter(None, names))
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    results = measure(cases, rounds, lambda turn, name: say(f"round {turn}/{rounds}: {name}"))
    results |= {name: Measured(problem=reason) for name, reason in missing.items()}
    reports = [(group, [summarise(row, results) for row in group.rows]) for group in groups]
    show(reports)
    print(f"\n{machine()}\n{rounds} rounds in {time.monotonic() - began:.0f} s")
    if chosen.json:
        rows = [to_json(group, row) for group, summaries in reports for row in summaries]
        report = {"machine": machine(), "rounds": rounds, "rows": rows}
        chosen.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(any(results[case.name].problem for case in cases))


def show(reports: list[tuple[Group, list[Summary]]]) -> None:
    for group, summaries in reports:
        print(render(group, summaries) + "\n")
    missed = [
        f"{group.name}: {summary.row.label}"
        for group, summaries in reports
        for summary in summaries
        if summary.verdict == "missed"
    ]
    print("\n".join(["Missed:", *missed]) if missed else "Every gate was met.")


if __name__ == "__main__":
    sys.exit(main())
