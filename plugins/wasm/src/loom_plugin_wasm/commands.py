"""`loom wasm`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    answer_of,
    find_instance,
    instance_options,
    printable,
    record_table,
    say,
)

COLUMNS = ("name", "kind", "state", "tools", "reason")
TIMEOUT = 60.0
"""Seconds; a module may have to be compiled."""
_SHOWN = 40
"""Imports or exports that are listed; of more, the number is said."""

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


@click.group()
def wasm() -> None:
    """Look at WebAssembly modules, and decide which are trusted.

    A module runs only if its bytes, and what it asks for, are what was trusted; what was trusted
    is kept in tools.lock, beside loom.toml.

    \b
    loom wasm list
    loom wasm trust words
    loom wasm forget words
    """


@wasm.command(name="list")
@_as_json
@instance_options
def list_(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List the modules of a running Loom, with their states.

    \b
    loom wasm list --json
    """
    modules = _ask(folder, state, "list")["modules"]
    if as_json:
        click.echo(json.dumps(modules))
    else:
        say(record_table(modules, COLUMNS) if modules else "no modules: loom.toml has no [wasm.…]")


@wasm.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Accept without being asked.")
@_as_json
@instance_options
def trust(name: str, yes: bool, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Show what module NAME is and newly asks for; accept it if you say so.

    \b
    loom wasm trust words
    loom wasm trust words --yes --json
    """
    seen = _ask(folder, state, "examine", name=name)
    if not as_json:
        say("\n".join(_described(seen)))
    if not yes:
        click.confirm("Trust it as it is?", abort=True, err=as_json)
    done = _ask(folder, state, "trust", name=name, digest=seen["digest"])
    _tell(done, as_json)


@wasm.command()
@click.argument("name")
@_as_json
@instance_options
def forget(name: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Trust module NAME no longer: it is unloaded at once.

    \b
    loom wasm forget words
    """
    _tell(_ask(folder, state, "forget", name=name), as_json)


def _ask(folder: str | None, state: Path | None, what: str, **data: str) -> dict[str, Any]:
    paths = find_instance(folder, state)
    answer: dict[str, Any] = answer_of(paths, f"wasm.module.{what}", data, timeout=TIMEOUT)
    if answer["code"] != "ACTION_OK":
        raise CommandFailed(answer["message"])
    return answer


def _tell(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done))
        return
    reason = f": {done['reason']}" if done["reason"] else ""
    say(printable(f"{done['name']} is {done['state'] or 'forgotten'}{reason}"))


def _described(seen: dict[str, Any]) -> Iterator[str]:
    """What a person should know before it is trusted."""
    known = "trusted as it is" if seen["is_trusted"] else "CHANGED since it was trusted"
    yield printable(f"{seen['name']}: {known if seen['was_trusted'] else 'never trusted'}")
    yield f"  sha256   {seen['sha256']}"
    for title in ("tools", "exports", "imports", "asks"):
        yield f"  {title:<8} {_listed(seen[title])}"
    yield f"  newly asks for: {_listed(seen['new'])}"
    for title, what in (("missing", "asks for, not granted"), ("refused", "imports, not granted")):
        if seen[title]:
            yield f"  {what}: {_listed(seen[title])}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return printable(", ".join(name[:100] for name in names[:_SHOWN]) or "nothing") + more
