"""`loom token`: who may come in over the bridge."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from loom.bridge import bridge_folder
from loom_kernel import LoomError, RealClock, check_pattern, find_paths

from loom_plugin_bridge.access import ANY, EVERYTHING, Grant
from loom_plugin_bridge.tokens import Tokens

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = ("agents", "bridge", "cli", "control", "local", "tools")
"""Names under which Loom itself speaks."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _tokens(state: Path | None) -> Tokens:
    here = Path.cwd()
    paths = find_paths(here if (here / "loom.toml").is_file() else None, state)
    return Tokens(bridge_folder(paths), RealClock().time)


def _parse_time(ctx: click.Context, option: click.Parameter, text: str) -> float:
    if not text:
        return 0.0
    number, unit = text[:-1], text[-1]
    if unit not in UNITS or not number.isdecimal() or not int(number):
        raise click.BadParameter(f"{text!r} is no time; write 90s, 15m, 12h or 30d")
    return float(int(number) * UNITS[unit])


def _parse_patterns(ctx: click.Context, option: click.Parameter, many: tuple[str, ...]) -> Any:
    try:
        return tuple(check_pattern(pattern) for pattern in many)
    except LoomError as error:
        raise click.BadParameter(str(error)) from error


def _parse_name(ctx: click.Context, argument: click.Parameter, text: str) -> str:
    if not NAME.fullmatch(text) or text in RESERVED:
        raise click.BadParameter(
            f"{text!r}: a name begins with a letter or digit and has up to 64 letters, digits, "
            f"dots, dashes and underlines; {', '.join(RESERVED)} are taken"
        )
    return text


def _parse_texts(ctx: click.Context, option: click.Parameter, many: tuple[str, ...]) -> Any:
    if "" in many:
        raise click.BadParameter("is empty; leave the option out, or say what it allows")
    return many


def _parse_namespace(ctx: click.Context, option: click.Parameter, text: str | None) -> str:
    if text == "":
        raise click.BadParameter("is empty; leave the option out for no namespace")
    text = text or ""
    if text and not text.replace("-", "").replace("_", "").isalnum():
        raise click.BadParameter(f"{text!r}: use letters, digits, - and _ only")
    return text


_state = click.option(
    "--state", type=click.Path(path_type=Path), help="State folder, if not the usual one."
)


@click.group()
def token() -> None:
    """Make, list and revoke the tokens that let clients in over the bridge.

    A running Loom obeys at once: who holds a revoked token is cut off within a second. Only a
    hash of each token is kept; the token itself is shown once, when it is made.

    \b
    loom token create phone --agent phone --subscribe 'home.>' --publish 'home.*' --expires 30d
    loom token list
    loom token revoke phone
    """


@token.command()
@click.argument("name", callback=_parse_name)
@click.option(
    "--agent",
    multiple=True,
    callback=_parse_texts,
    help="Agent id it may act as; * stands for any letters.",
)
@click.option(
    "--publish", multiple=True, callback=_parse_patterns, help="Topics it may publish to."
)
@click.option(
    "--subscribe", multiple=True, callback=_parse_patterns, help="Topics it may subscribe to."
)
@click.option(
    "--tool",
    multiple=True,
    callback=_parse_texts,
    help="Tools it may call; * stands for any letters.",
)
@click.option(
    "--namespace", default=None, callback=_parse_namespace,
    help="Confine it: it sees only topics, agents and tools of this namespace.",
)  # fmt: skip
@click.option("--expires", default="", callback=_parse_time, help="When it ends: 12h, 30d.")
@click.option("--rate", type=click.FloatRange(min=1), default=None, help="Messages a second.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@_state
def create(
    name: str,
    agent: tuple[str, ...],
    publish: tuple[str, ...],
    subscribe: tuple[str, ...],
    tool: tuple[str, ...],
    namespace: str,
    expires: float,
    rate: float | None,
    as_json: bool,
    state: Path | None,
) -> None:
    """Make a token called NAME and print it: it is not kept, so it cannot be shown again.

    Without an option of its kind it may do anything of that kind.

    \b
    loom token create laptop
    loom token create sensors --agent 'sensor-*' --publish 'sensor.>' --subscribe 'sensor.*.set'
    """
    now = RealClock().time()
    grant = Grant(
        id="",
        name=name,
        agents=agent or ANY,
        publish=publish or EVERYTHING,
        subscribe=subscribe or EVERYTHING,
        tools=tool or ANY,
        namespace=namespace,
        expires=now + expires if expires else 0.0,
        rate=rate or 0.0,
    )
    made = _tokens(state).create(grant)
    click.echo(json.dumps({"name": name, "token": made}) if as_json else made)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@_state
def list_command(as_json: bool, state: Path | None) -> None:
    """List the tokens by name, and what each may do; never the tokens themselves.

    \b
    loom token list
    loom token list --json
    """
    found = [_described(grant) for grant in _tokens(state).list()]
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("no tokens; make one with: loom token create NAME")
    for one in [] if as_json else found:
        allows = " ".join(f"{what}={','.join(one[what])}" for what in _LISTS)
        more = [f"namespace={one['namespace']}"] if one["namespace"] else []
        more += [f"rate={one['rate']:g}/s"] if one["rate"] else []
        click.echo("  ".join([one["name"], one["expires"] or "no end", allows, *more]))


@token.command()
@click.argument("name")
@_state
def revoke(name: str, state: Path | None) -> None:
    """Strike the token NAME (or the id of one): who holds it is cut off.

    \b
    loom token revoke phone
    """
    click.echo(f"revoked {_tokens(state).revoke(name).name}")


_LISTS = ("agents", "publish", "subscribe", "tools")


def _described(grant: Grant) -> dict[str, Any]:
    ends = datetime.fromtimestamp(grant.expires, UTC).isoformat() if grant.expires else ""
    lists = {what: list(getattr(grant, what)) for what in _LISTS}
    return {
        "name": grant.name, "id": grant.id, "expires": ends, "namespace": grant.namespace,
        "rate": grant.rate, **lists,
    }  # fmt: skip
