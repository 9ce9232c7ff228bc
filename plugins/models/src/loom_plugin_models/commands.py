"""`loom models`: see and ask the language models of `loom.toml`."""

from __future__ import annotations

import json
from pathlib import Path

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

PATIENCE = 600.0
"""Seconds: a model may think for long."""
COLUMNS = ("name", "model", "state", "is_local", "context_window", "input_price", "output_price")


@click.group()
def models() -> None:
    """See and ask the language models of loom.toml.

    \b
    loom models list
    loom models list --json
    loom models ask deepseek "Say hello in one word."
    """


@models.command("list")
@json_option
@instance_options
def list_command(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List the endpoints: model, state, whether it is on this machine, prices.

    \b
    loom models list
    loom models list --json
    """
    found = answer_of(find_instance(folder, state), "llm.list")["models"]
    none = "no models: write a table [llm.<name>] in loom.toml"
    say_records(found, COLUMNS, as_json=as_json, none=none)


@models.command()
@click.argument("name")
@click.argument("prompt")
@json_option
@instance_options
def ask(name: str, prompt: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Ask endpoint NAME and print what it says.

    \b
    loom models ask deepseek "Say hello in one word."
    loom models ask local "Say hello." --json
    """
    asked = {"name": name, "prompt": prompt}
    answer = answer_of(find_instance(folder, state), "llm.ask", asked, timeout=PATIENCE)
    if "error" in answer:
        raise CommandFailed(answer["error"])
    if as_json:
        click.echo(json.dumps(answer["reply"]))
    else:
        say(printable(answer["reply"]["content"]))
