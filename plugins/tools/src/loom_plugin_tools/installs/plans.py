"""What installing an archive would mean for an app, before anybody is asked."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from loom.archives import Archive
from loom_kernel import LoomError, installed

from loom_plugin_tools.installs.apps import TOOLS, App, Config
from loom_plugin_tools.installs.changes import Change
from loom_plugin_tools.installs.records import KIND, Record, names, read_record, record_of
from loom_plugin_tools.installs.tables import read_tables, table_of, with_table
from loom_plugin_tools.installs.verifying import differences
from loom_plugin_tools.wording import arguments

KINDS = ("wasm", "process")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An archive beside what the app holds under its name."""

    archive: Archive
    record: Record | None
    """What tools.lock says of the archive that is installed."""
    seen: Config
    table: dict[str, Any]
    """What loom.toml would say."""
    present: dict[str, Any] | None
    """What it says."""
    damage: tuple[str, ...]
    """How the folder differs from what was installed, if something was."""
    similar: tuple[str, ...]
    """Other names in the app that are much like this one."""

    @property
    def name(self) -> str:
        """The tool's."""
        return self.archive.manifest.name

    @property
    def is_done(self) -> bool:
        """Whether exactly this is installed already."""
        known = self.record is not None and self.record.sha256 == self.archive.digest
        return known and not self.damage and self.present is not None

    @property
    def is_table_owners(self) -> bool:
        """Whether loom.toml has a table that no archive brought, and that is another one."""
        brought = self.record.table if self.record else None
        return self.present is not None and self.present not in (brought, self.table)

    def wishes(self) -> list[str]:
        """What it asks for, a line each: `+` new, `-` no more, beside what was installed."""
        return compared(self.record.table if self.record else {}, self.table)

    def change(self, *, replace: bool) -> Change:
        """What there is to do; *replace* says whether the owner's own table is given up."""
        text = self.seen.text
        if self.present is None or (self.present != self.table and replace):
            text = with_table(text, self.archive.manifest.kind, self.name, self.table)
        records: dict[str, Mapping[str, Any] | None] = {KIND: record_of(self.archive, self.table)}
        is_same = self.record is not None and self.record.sha256 == self.archive.digest
        if self.archive.manifest.kind == "process" and not is_same:
            # Its trust covers the files that the command names, not those that they import.
            records["process"] = None
        return Change(
            name=self.name, archive=self.archive, config=text.encode(), seen=self.seen,
            records=records,
        )  # fmt: skip


def plan_installation(app: App, archive: Archive) -> Plan:
    """Compare *archive* with what *app* holds. Blocks.

    Raises:
        LoomError: it cannot be installed beside that.
    """
    manifest = archive.manifest
    record = read_record(app.paths, manifest.name)
    seen = app.read_config()
    values = read_tables(seen.text)
    _check(app, archive, record, values)
    table = manifest.table(f"{TOOLS}/{manifest.name}")
    return Plan(
        archive=archive, record=record, seen=seen, table=table,
        present=table_of(values, manifest.kind, manifest.name),
        damage=tuple(differences(app, manifest.name, record)) if record else (),
        similar=_similar(app, manifest.name, values),
    )  # fmt: skip


def _check(app: App, archive: Archive, record: Record | None, values: Mapping[str, Any]) -> None:
    manifest = archive.manifest
    name = manifest.name
    other = next(kind for kind in KINDS if kind != manifest.kind)
    if name in installed():
        raise LoomError(f"Loom has a plugin {name!r}; a tool of that name would speak as it")
    if table_of(values, other, name) is not None:
        raise LoomError(f"loom.toml has [{other}.{name}] already; remove it, or rename the tool")
    if record is None:
        if app.has_tool(name):
            what = f"{app.folder / TOOLS / name} exists, and no archive brought it"
            raise LoomError(f"{what}; move it away first")
        return
    if record.version == manifest.version and record.sha256 != archive.digest:
        raise LoomError(
            f"{name} {manifest.version} was installed from an archive with other bytes (SHA-256 "
            f"{record.sha256}, this one {archive.digest}): one version is one archive. If you "
            f"know why, first run: loom tools remove {name}"
        )


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Every value of both tables, a line each, with what became of it."""
    old = list(arguments(dict(before))) if before else []
    new = list(arguments(dict(after)))
    gone = [f"- {line}" for line in old if line not in new]
    return [f"{' ' if line in old else '+'} {line}" for line in new] + gone


def _similar(app: App, name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    known = {*names(app.paths)}
    for kind in (*KINDS, "mcp"):
        section = values.get(kind)
        known |= set(section) if isinstance(section, dict) else set()
    return tuple(get_close_matches(name, sorted(known - {name}), cutoff=0.8))


def plan_removal(app: App, name: str) -> Change:
    """What there is to do so that the tool *name* is gone, its trust too. Blocks.

    Raises:
        LoomError: no archive brought it.
    """
    record = read_record(app.paths, name)
    if record is None:
        known = ", ".join(names(app.paths)) or "none"
        raise LoomError(
            f"no archive brought a tool {name!r} into this app; those that did: {known}"
        )
    seen = app.read_config()
    text = with_table(seen.text, record.kind, name, None)
    records: dict[str, Mapping[str, Any] | None] = {KIND: None, record.kind: None}
    return Change(name=name, archive=None, config=text.encode(), seen=seen, records=records)
