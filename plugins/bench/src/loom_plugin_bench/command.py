"""`loom bench`."""

from __future__ import annotations

import json
import sys

import click

from loom_plugin_bench.cases import LEVELS, PUBLISHERS, bench_case
from loom_plugin_bench.harness import measure
from loom_plugin_bench.report import machine, render, to_json
from loom_plugin_bench.rows import Group, Row, summarise

SECONDS, ROUNDS = 0.5, 3
QUICK_SECONDS, QUICK_ROUNDS = 0.15, 1

LIMIT = Row("limit: deque in batches", "limit/one")
LOOKUP = Row("limit: dict lookup", "limit/lookup", "lookup_ns")

GROUPS = (
    Group(
        "publishers",
        "Publishers",
        tuple(
            row
            for n in PUBLISHERS
            for row in (
                Row(f"limit, {n} to one", f"limit/publishers-{n}"),
                Row(f"Loom, {n} to one", f"loom/publishers-{n}", limit=f"limit/publishers-{n}"),
            )
        ),
    ),
    Group(
        "qos",
        "Quality of service",
        (LIMIT, *(Row(f"Loom, {q}", f"loom/qos-{q}", limit="limit/one") for q in LEVELS)),
    ),
    Group(
        "fan-out",
        "One to ten, deliveries",
        (
            Row("limit: deque in batches", "limit/fan-out"),
            Row("Loom", "loom/fan-out", limit="limit/fan-out"),
        ),
    ),
    Group(
        "filter",
        "Filters",
        (
            LIMIT,
            Row("Loom, no filter", "loom/unfiltered", limit="limit/one"),
            Row("Loom, one filter", "loom/one", limit="limit/one"),
            Row("Loom, filtered by type", "loom/types", limit="limit/one"),
        ),
    ),
    Group(
        "match",
        "Match a topic with 1,000 subscriptions, wildcards among them",
        (
            LOOKUP,
            Row("Loom, seen before", "loom/match-1000", "lookup_ns", "limit/lookup"),
            Row("Loom, first sight", "loom/first-1000", "lookup_ns", "limit/lookup"),
            Row("Loom, wildcards change", "loom/churn-1000", "lookup_ns", "limit/lookup"),
        ),
    ),
    Group(
        "latency",
        "Latency at 1,000 events a second",
        tuple(
            row
            for name, metric in (("median", "p50_us"), ("99 %", "p99_us"))
            for row in (
                Row(f"limit, {name}", "limit/latency", metric),
                Row(f"Loom, {name}", "loom/latency", metric, "limit/latency"),
            )
        ),
    ),
)


@click.command()
@click.option("--quick", is_flag=True, help="One short round; the figures are rough.")
@click.option(
    "--seconds", type=click.FloatRange(0.01, 60), metavar="N", help="CPU time for each case."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def bench(quick: bool, seconds: float | None, as_json: bool) -> None:
    """Measure the bus beside the raw limit of this machine.

    Each case runs in a process of its own, in turn with the others; a rate counts events per
    second of CPU time; "x of limit" is taken inside a round. [smallest..largest] over rounds.

    \b
    loom bench --quick
    loom bench --seconds 2 --json
    """
    seconds = seconds or (QUICK_SECONDS if quick else SECONDS)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    names = dict.fromkeys(row.case for group in GROUPS for row in group.rows)
    results = measure([bench_case(name, seconds) for name in names], rounds, _show_progress)
    rows = [(group, [summarise(row, results) for row in group.rows]) for group in GROUPS]
    if as_json:
        found = [to_json(group, row) for group, summaries in rows for row in summaries]
        click.echo(json.dumps({"machine": machine(), "rounds": rounds, "rows": found}))
    else:
        click.echo("\n\n".join(render(group, summaries) for group, summaries in rows))
        click.echo(f"\n{machine()}")
    if any(result.problem for result in results.values()):
        sys.exit(1)


def _show_progress(turn: int, name: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[Kround {turn}: {name}", nl=False, err=True)
        click.echo("\r\x1b[K", nl=False, err=True)
