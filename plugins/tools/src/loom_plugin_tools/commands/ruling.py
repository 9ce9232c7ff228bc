"""`rules`, `stop`, `resume`: what holds until the owner says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from loom.instance import find_instance, instance_options, parse_duration, record_table, say
from loom_kernel import RealClock

from loom_plugin_tools.commands.answers import order

COLUMNS = ("id", "effect", "tool", "principal", "owner", "expires", "reason")

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


@click.group(invoke_without_command=True)
@_as_json
@instance_options
@click.pass_context
def rules(ctx: click.Context, as_json: bool, folder: str | None, state: Path | None) -> None:
    """List the standing rules about tools, or make and remove them: see the commands below.

    A rule is outside of every conversation: no summary, restart or clever text makes it be
    forgotten. `deny` beats `ask`, `ask` beats `allow` and what loom.toml grants.

    \b
    loom rules
    loom rules add ask 'fs:delete' --reason 'never delete without asking'
    loom rules add deny 'system:*' --for 'web-*' --expires 30d
    loom rules remove 1f09ab
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = folder, state
        return
    found = order(find_instance(folder, state), "rule.list")["rules"]
    if as_json:
        click.echo(json.dumps(found))
    else:
        say(record_table(found, COLUMNS) if found else "no rules")


@rules.command()
@click.argument("effect", type=click.Choice(["allow", "ask", "deny"]))
@click.argument("tool", metavar="TOOL")
@click.option("--for", "principal", default="*", metavar="CALLER", help="Who; * = any letters.")
@click.option("--expires", default="", metavar="TIME", help="When it ends: 12h, 30d.")
@click.option("--reason", default="", help="Why; shown to whoever is refused or asked.")
@_as_json
@click.pass_obj
def add(
    above: tuple[str | None, Path | None],
    effect: str,
    tool: str,
    principal: str,
    expires: str,
    reason: str,
    as_json: bool,
) -> None:
    """Make a rule: EFFECT for calls of TOOL (a name; * stands for any letters).

    \b
    loom rules add ask 'fs:delete'
    loom rules add allow 'web:fetch' --for researcher --expires 8h
    """
    seconds = parse_duration(expires) if expires else 0.0
    rule: dict[str, Any] = {
        "effect": effect, "tool": tool, "principal": principal, "reason": reason,
        "expires": RealClock().time() + seconds if seconds else 0.0,
    }  # fmt: skip
    made = order(find_instance(*above), "rule.add", rule)["rule"]
    click.echo(json.dumps(made)) if as_json else say(f"rule {made['id']} holds")


@rules.command()
@click.argument("id")
@click.pass_obj
def remove(above: tuple[str | None, Path | None], id: str) -> None:
    """Remove rule ID.

    \b
    loom rules remove 1f09ab
    """
    order(find_instance(*above), "rule.remove", {"id": id})
    say(f"rule {id} is gone")


@click.command()
@_as_json
@instance_options
def stop(as_json: bool, folder: str | None, state: Path | None) -> None:
    """Stop everything that agents do, at once: calls, handlers, child processes of tools.

    What waits for an approval is denied, and nothing more runs until `loom resume`. Loom itself
    goes on: `loom down` ends it.

    \b
    loom stop
    """
    ended = order(find_instance(folder, state), "halt.call")["ended"]
    click.echo(json.dumps({"ended": ended})) if as_json else say(f"stopped; {ended} calls ended")


@click.command()
@instance_options
def resume(folder: str | None, state: Path | None) -> None:
    """Let agents and tools work again after `loom stop`.

    \b
    loom resume
    """
    order(find_instance(folder, state), "halt.lift")
    say("going on")
