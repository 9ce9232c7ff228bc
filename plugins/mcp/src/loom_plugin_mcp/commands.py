"""`loom mcp`: the servers whose tools Loom uses, and Loom as a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    effect_of,
    find_instance,
    instance_options,
    json_option,
    printable,
    say,
    say_records,
)
from loom_kernel import Paths

from loom_plugin_mcp.serving.exposure import CLIENT
from loom_plugin_mcp.serving.guard import read_token

COLUMNS = ("server", "state", "protocol", "tools", "reason")
PATIENCE = 90.0
"""Seconds that looking at a server may take."""


@click.group()
def mcp() -> None:
    """See the MCP servers whose tools Loom uses, accept them, and serve Loom's tools.

    A server of `[mcp.<name>]` in loom.toml is started once its exact command has been accepted,
    and each of its tools is announced as long as it is the one that was accepted.

    \b
    loom mcp list
    loom mcp trust git
    loom mcp serve
    """


def ask(paths: Paths, topic: str, data: Any = None) -> dict[str, Any]:
    """What the running plugin did.

    Raises:
        CommandFailed: it refuses, or nobody answers.
    """
    return effect_of(paths, topic, data, timeout=PATIENCE)


@mcp.command("list")
@json_option
@instance_options
def list_command(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List the servers: state, protocol, tools, and why one does not run.

    \b
    loom mcp list
    loom mcp list --json
    """
    servers = ask(find_instance(folder, state), "mcp.server.list")["servers"]
    none = "no MCP servers; add a table [mcp.<name>] to loom.toml"
    say_records(servers, COLUMNS, as_json=as_json, none=none)
    for server in () if as_json else servers:
        for tool, why in server["withheld"].items():
            say(printable(f"{server['server']}:{tool} is not announced: {why}"))


@mcp.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Accept without being asked.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable; needs --yes.")
@instance_options
def trust(name: str, yes: bool, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show what the server NAME would run, reach and bring; accept it, and start it.

    First its exact command is shown, and what it may reach. Then it is started, confined to that,
    only to list its tools. What is accepted is pinned in tools.lock beside loom.toml: a tool that
    changes later is not announced until it is accepted again.

    \b
    loom mcp trust git
    loom mcp trust git --yes
    """
    if as_json and not yes:
        raise click.UsageError("--json asks no questions: add --yes")
    paths = find_instance(folder, state)
    launch = ask(paths, "mcp.server.launch", {"server": name})
    if not as_json:
        _show(f"{name}, exactly:", launch["launch"])
        _show("this has changed since it was accepted:", launch["differences"])
    if not yes and not click.confirm("start it like that, only to list its tools?"):
        raise CommandFailed(f"{name} was not started")
    found = ask(paths, "mcp.server.inspect", {"server": name})
    if as_json:
        click.echo(json.dumps(found))
    else:
        _show_tools(name, found)
    if not yes and not click.confirm(f"let agents use {name} as it is now?"):
        raise CommandFailed(f"{name} was not accepted")
    ask(paths, "mcp.server.trust", {"server": name, "digest": found["digest"]})
    if not as_json:
        say(f"{name} is accepted as it is now")


def _show(title: str, lines: list[str]) -> None:
    if lines:
        say(printable(title))
    for line in lines:
        say(f"  {printable(line)}")


def _show_tools(name: str, found: dict[str, Any]) -> None:
    """What the server says of its tools, in its own words."""
    say(printable(f"{name} brings {len(found['tools'])} tools, and says of them:"))
    for tool in found["tools"]:
        arguments = ", ".join(tool["parameters"].get("properties", {}))
        said = tool["problem"] and f"cannot be used: {tool['problem']}"
        _show(f"{name}:{tool['name']}({arguments})", (said or tool["description"]).splitlines())
    if found["known"]:
        _show("what is other than what was accepted:", found["differences"] or ["nothing"])


@mcp.command()
@click.argument("name")
@instance_options
def forget(name: str, folder: str | None, state: Path | None) -> None:
    """Accept nothing of the server NAME any more, and end it.

    \b
    loom mcp forget git
    """
    ask(find_instance(folder, state), "mcp.server.forget", {"server": name})
    say(f"{name} is not trusted any more")


@mcp.command()
@click.argument("name")
@instance_options
def restart(name: str, folder: str | None, state: Path | None) -> None:
    """Start the server NAME anew, also if it was given up.

    \b
    loom mcp restart git
    """
    ask(find_instance(folder, state), "mcp.server.restart", {"server": name})
    say(f"{name} starts anew")


def _check_client(_: click.Context, option: click.Parameter, name: str) -> str:
    if not CLIENT.fullmatch(name):
        raise click.BadParameter(f"{name!r}: up to 31 lower-case letters, digits and dashes")
    return name


@mcp.command()
@click.option(
    "--as", "client", default="stdio", callback=_check_client,
    help="The name under which the client acts.",
)  # fmt: skip
@instance_options
def serve(client: str, folder: str | None, state: Path | None) -> None:
    """Serve Loom's tools to an MCP client, on standard input and output.

    This is the command to give to the client. It gets the tools and topics that
    `[plugins.mcp] serve` and `topics` name; its calls are those of `mcp/client/<name>`.

    \b
    loom mcp serve
    loom mcp serve --as editor --project ~/app
    """
    paths = find_instance(folder, state)
    ask(paths, "mcp.serve.tools")  # better to fail now than at the client's first question
    from loom_plugin_mcp.serving.stdio import serve as serve_stdio

    asyncio.run(serve_stdio(paths, client))


@mcp.command()
@instance_options
def token(folder: str | None, state: Path | None) -> None:
    """Print the token that MCP clients need over HTTP.

    It is in a private file of the state folder; remove that, and there is a new one.

    \b
    loom mcp token
    """
    click.echo(read_token(find_instance(folder, state)))
