"""`tools pack`, `install`, `remove`, `verify`: tools that come in archives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from loom.archives import Archive, open_archive, pack
from loom.instance import (
    CommandFailed,
    find_instance,
    instance_options,
    lock_holder,
    printable,
    say,
)
from loom_kernel import Paths

from loom_plugin_tools.installs.apps import TOOLS, App, opened
from loom_plugin_tools.installs.changes import perform, recover
from loom_plugin_tools.installs.plans import Plan, compared, plan_installation, plan_removal
from loom_plugin_tools.installs.records import names as installed_names
from loom_plugin_tools.installs.records import read_record
from loom_plugin_tools.installs.verifying import differences

SHOWN = 20
"""Files that are listed; of more, the number is said."""
Above = tuple[str | None, Path | None]

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("pack")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--to", "target", type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(), metavar="DIR", help="Where the archive goes, instead of the current folder.",
)  # fmt: skip
@_as_json
def pack_command(source: Path, target: Path, as_json: bool) -> None:
    """Pack the tool in folder SOURCE, which has a loom-tool.toml, into NAME-VERSION.zip.

    The same folder gives the same bytes. Names that begin with a dot, loom.toml and compiled
    Python are left out.

    \b
    loom tools pack tools/words
    loom tools pack tools/words --to dist
    """
    with _explained():
        made, archive = pack(source, target)
    if as_json:
        click.echo(json.dumps({"archive": str(made), **_facts(archive)}))
        return
    say(printable(f"{made}: {len(archive.files)} files, {archive.size} bytes"))
    say(f"  sha256 {archive.digest}")


@click.command()
@click.argument("source", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.option("--sha256", default="", metavar="HEX", help="What its SHA-256 must be.")
@click.option("--replace", is_flag=True, help="Give up a table in loom.toml that you changed.")
@_yes
@_as_json
@instance_options
@click.pass_obj
def install(
    above: Above,
    source: Path,
    sha256: str,
    replace: bool,
    yes: bool,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Show what the tool in ARCHIVE is and asks for; put it into the app's tools/ if you say so.

    Nothing of it runs, and no network is asked. Its table goes into loom.toml, its digests into
    tools.lock. It still has to be trusted before it is loaded.

    \b
    loom tools install words-1.0.zip
    loom tools install words-1.0.zip --sha256 "$DIGEST" --yes --json
    """
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise click.BadParameter("--sha256 takes 64 hexadecimal digits")
    paths = _find(above, folder, state)
    with _explained(), opened(paths) as app:
        _recover(app)
        plan = plan_installation(app, open_archive(source, sha256))
        if plan.is_done:
            _tell(plan, paths, "unchanged", as_json)
            return
        for line in _described(plan, source):
            say(printable(line), err=as_json)
        if not yes:
            click.confirm(f"Install {plan.name} into {app.folder}?", abort=True, err=as_json)
        replaces = not plan.is_table_owners or replace
        if not replaces and not yes:
            question = f"Replace your [{plan.archive.manifest.kind}.{plan.name}] in loom.toml?"
            replaces = click.confirm(question, err=as_json)
        perform(app, plan.change(replace=replaces))
        _tell(plan, paths, "installed", as_json, kept=not replaces)


@click.command()
@click.argument("name")
@_yes
@_as_json
@instance_options
@click.pass_obj
def remove(
    above: Above, name: str, yes: bool, as_json: bool, folder: str | None, state: Path | None
) -> None:
    """Remove tool NAME, which an archive brought: its folder, table, digests and trust.

    \b
    loom tools remove words
    """
    with _explained(), opened(_find(above, folder, state)) as app:
        _recover(app)
        change = plan_removal(app, name)
        if not yes:
            what = f"{app.folder / TOOLS / name} and its table in loom.toml"
            click.confirm(f"Remove {what}?", abort=True, err=as_json)
        perform(app, change)
    click.echo(json.dumps({"name": name, "state": "removed"})) if as_json else say(
        f"{name} is removed; a Loom that runs keeps it until it is started again"
    )


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_as_json
@instance_options
@click.pass_obj
def verify(
    above: Above, names: tuple[str, ...], as_json: bool, folder: str | None, state: Path | None
) -> None:
    """Say whether installed tools are what their archives brought; exit code 1 if one is not.

    \b
    loom tools verify
    loom tools verify words --json
    """
    with _explained(), opened(_find(above, folder, state)) as app:
        _recover(app)
        rows = [_verified(app, name) for name in names or installed_names(app.paths)]
    if as_json:
        click.echo(json.dumps(rows))
    for row in [] if as_json else rows:
        state_of_it = "as installed" if not row["changes"] else "CHANGED since it was installed"
        say(printable(f"{row['name']} {row['version']}: {state_of_it}"))
        for change in row["changes"]:
            say(printable(f"  {change}"))
    if not rows and not as_json:
        say("no tools from archives")
    if changed := [row["name"] for row in rows if row["changes"]]:
        raise CommandFailed(
            f"not what was installed: {', '.join(changed)}; install the archive again to mend it"
        )


ALL = [pack_command, install, remove, verify]


@contextmanager
def _explained() -> Iterator[None]:
    """An error of the operating system, as one line: everything that fails changes nothing."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CommandFailed(f"nothing was changed: {where}{error.strerror or error}") from error


def _find(above: Above, folder: str | None, state: Path | None) -> Paths:
    """The app that the options before or after the command's name mean."""
    return find_instance(folder or above[0], state or above[1])


def _recover(app: App) -> None:
    if undone := recover(app):
        say(f"a command that changed {undone} was interrupted: it is undone", err=True)


def _verified(app: App, name: str) -> dict[str, Any]:
    record = read_record(app.paths, name)
    if record is None:
        raise CommandFailed(f"no archive brought a tool {name!r} into this app")
    changes = list(differences(app, name, record))
    return {"name": name, "version": record.version, "changes": changes}


# --- what a person sees ----------------------------------------------------------------------


def _described(plan: Plan, source: Path) -> Iterator[str]:
    """All that should be known before it is installed."""
    manifest, files = plan.archive.manifest, plan.archive.files
    yield f"{manifest.name} {manifest.version} ({manifest.kind}): {manifest.summary}"
    yield f"  archive  {source.name}"
    yield f"  sha256   {plan.archive.digest}"
    yield f"  holds    {len(files)} files, {plan.archive.size} bytes"
    yield from _files_changed(plan)
    yield from _installed_now(plan)
    yield f"  asks for, in [{manifest.kind}.{manifest.name}] of loom.toml (+ new, - no more):"
    yield from (f"    {line}" for line in plan.wishes())
    if plan.is_table_owners and plan.present is not None:
        yield "  your loom.toml has another table; what replacing it would change:"
        yield from (f"    {line}" for line in compared(plan.present, plan.table))
    for other in plan.similar:
        yield f"  NOTE: its name is much like that of {other!r}, which is another tool"


def _files_changed(plan: Plan) -> Iterator[str]:
    known = plan.record.files if plan.record else {}
    new = {path: content.digest for path, content in plan.archive.files.items()}
    marked = [f"+ {p}" if p not in known else f"~ {p}" for p in new if known.get(p) != new[p]]
    marked += [f"- {path}" for path in known if path not in new]
    yield from (f"    {line}" for line in marked[:SHOWN])
    if len(marked) > SHOWN:
        yield f"    and {len(marked) - SHOWN} more"


def _installed_now(plan: Plan) -> Iterator[str]:
    if plan.record is None:
        return
    yield f"  installed now: {plan.record.version}, sha256 {plan.record.sha256}"
    yield from (f"    {line}, which is undone" for line in plan.damage)


def _facts(archive: Archive) -> dict[str, Any]:
    manifest = archive.manifest
    return {
        "name": manifest.name, "version": manifest.version, "kind": manifest.kind,
        "sha256": archive.digest, "files": list(archive.files), "size": archive.size,
    }  # fmt: skip


def _tell(plan: Plan, paths: Paths, done: str, as_json: bool, *, kept: bool = False) -> None:
    manifest = plan.archive.manifest
    is_running = bool(lock_holder(paths.state))
    start = ["loom down", "loom up"] if is_running else ["loom up"]
    steps = [*start, f"loom {manifest.kind} trust {manifest.name}"] if done == "installed" else []
    if as_json:
        facts = {"state": done, **_facts(plan.archive), "asks": plan.table, "is_table_kept": kept}
        click.echo(json.dumps({**facts, "wishes": plan.wishes(), "next": steps}))
        return
    if done == "unchanged":
        say(f"{manifest.name} {manifest.version} is installed already, exactly this archive")
        return
    say(f"{manifest.name} {manifest.version} is in {paths.project}/{TOOLS}/{manifest.name}")
    if kept:
        say(f"your [{manifest.kind}.{manifest.name}] in loom.toml stays as it is")
    say("next:")
    for step in steps:
        say(f"  {step}")
