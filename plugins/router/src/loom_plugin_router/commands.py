"""`loom router`: see where thoughts were thought, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    answer_of,
    find_instance,
    instance_options,
    json_option,
    printable,
    say,
    say_records,
)

COLUMNS = (
    "event_id", "agent", "route", "endpoint", "refine", "privacy", "confidence", "actual_ms",
    "actual_cost", "reason",
)  # fmt: skip
LEVELS = click.Choice(["public", "sensitive", "private", "local-only"])
ROUTES = click.Choice(["local", "cloud", "hybrid", "local_fallback", "defer", "drop"])


@click.group()
def router() -> None:
    """See where thoughts were thought, and why.

    \b
    loom router decisions --route cloud
    loom router explain EVENT_ID
    loom router why "What is our margin?" --privacy private
    """


@router.command()
@click.option("--agent", default="", help="Only those of this agent.")
@click.option("--route", type=ROUTES, help="Only those that went this way.")
@click.option("--since", type=float, default=0.0, help="Only later ones (UNIX seconds).")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most.")
@json_option
@instance_options
def decisions(as_json: bool, folder: str | None, state: Path | None, **query: Any) -> None:
    """List the last decisions, newest first.

    \b
    loom router decisions
    loom router decisions --agent ada --route hybrid --json
    """
    found = _found(folder, state, {name: value for name, value in query.items() if value})
    say_records(found, COLUMNS, as_json=as_json, none="no decisions")


@router.command()
@click.argument("event_id")
@json_option
@instance_options
def explain(event_id: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Say why the thoughts about event EVENT_ID (or decision EVENT_ID) went where they went.

    \b
    loom router explain 0198c6f2-6a51-7c9e-8a6e-2f0c6a1d9b11
    """
    found = _found(folder, state, {"event_id": event_id})
    found = found or _found(folder, state, {"id": event_id})
    if not found:
        raise CommandFailed(f"no decision on {event_id!r} is kept; see loom router decisions")
    if as_json:
        click.echo(json.dumps(found))
        return
    for decision in reversed(found):
        _say_decision(decision)


@router.command()
@click.argument("text")
@click.option("--agent", default="", help="As if this agent thought.")
@click.option("--event-type", help="As if it were an event of this type.")
@click.option("--privacy", type=LEVELS, help="How far it may go.")
@click.option("--latency-ms", type=float, help="Milliseconds it may take.")
@click.option("--cost-cap", type=float, help="What it may cost.")
@click.option("--quality", type=float, help="How sure it must be that a local answer will do.")
@json_option
@instance_options
def why(text: str, as_json: bool, folder: str | None, state: Path | None, **wishes: Any) -> None:
    """Say where TEXT would be thought about, and why; nobody is asked.

    \b
    loom router why "Summarise this." --privacy private
    loom router why "Prove it." --latency-ms 5000 --cost-cap 0.05 --json
    """
    said = {name: value for name, value in wishes.items() if value is not None}
    answer = answer_of(find_instance(folder, state), "router.why", {"text": text, **said})
    _check(answer)
    if as_json:
        click.echo(json.dumps(answer))
        return
    _say_decision(answer["decision"])
    for one in answer["allowed"]:
        say(printable(f"  {one['name']}: {one['ms']:.0f} ms, {one['cost']:.4f}"))
    if answer["forbidden"]:
        say(f"  privacy forbids {answer['forbidden']} more")


def _found(folder: str | None, state: Path | None, query: dict[str, Any]) -> list[dict[str, Any]]:
    answer = answer_of(find_instance(folder, state), "router.decisions", query)
    _check(answer)
    found: list[dict[str, Any]] = answer["decisions"]
    return found


def _check(answer: dict[str, Any]) -> None:
    if "error" in answer:
        raise CommandFailed(answer["error"])


def _say_decision(decision: dict[str, Any]) -> None:
    asked = " then ".join(filter(None, (decision["endpoint"], decision["refine"]))) or "nobody"
    sure = f"{decision['confidence']:.2f}"
    limits = ", ".join(decision["violations"]) or "none"
    expected = f"{decision['estimated_ms']:.0f} ms, {decision['estimated_cost']:.4f}"
    taken = f"{decision['actual_ms']:.0f} ms, {decision['actual_cost']:.4f}"
    for line in (
        f"{decision['route']}: {asked}",
        f"  because {decision['reason']}",
        f"  agent {decision['agent'] or '-'}, {decision['privacy']}, confidence {sure}",
        f"  limits in the way: {limits}",
        f"  expected {expected}; took {taken}",
    ):
        say(printable(line))
