"""`loom wasm`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    effect_of,
    find_instance,
    instance_options,
    json_option,
    printable,
    say,
    say_records,
    say_state,
)

COLUMNS = ("name", "kind", "state", "tools", "reason")
TIMEOUT = 60.0
"""Seconds; a module may have to be compiled."""
_SHOWN = 40
"""Imports or exports that are listed; of more, the number is said."""


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
@json_option
@instance_options
def list_(as_json: bool, folder: str | None, state: Path | None) -> None:
    """List the modules of a running Loom, with their states.

    \b
    loom wasm list --json
    """
    modules = _ask(folder, state, "list")["modules"]
    none = "no modules: loom.toml has no [wasm.…]"
    say_records(modules, COLUMNS, as_json=as_json, none=none)


@wasm.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Accept without being asked.")
@json_option
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
    say_state(done, as_json=as_json)


@wasm.command()
@click.argument("name")
@json_option
@instance_options
def forget(name: str, as_json: bool, folder: str | None, state: Path | None) -> None:
    """Trust module NAME no longer: it is unloaded at once.

    \b
    loom wasm forget words
    """
    done = _ask(folder, state, "forget", name=name)
    say_state(done if as_json else {**done, "state": done["state"] or "forgotten"}, as_json=as_json)


def _ask(folder: str | None, state: Path | None, what: str, **data: str) -> dict[str, Any]:
    paths = find_instance(folder, state)
    return effect_of(paths, f"wasm.module.{what}", data, timeout=TIMEOUT)


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
