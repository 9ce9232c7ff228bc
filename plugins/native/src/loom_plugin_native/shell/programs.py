"""Programs that may be run: where they are, what they may be given, and that they are the same.

A name is looked up once, in folders of the system that only its administrator writes to; no search
path counts. The file found then is the one that runs: if its content changes, it does not.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from loom_kernel import ConfigError, LoomError

from loom_plugin_native.shell.defaults import DEFAULTS
from loom_plugin_native.shell.grammar import Grammar

FOLDERS = ("/usr/bin", "/bin")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ProgramRefused(LoomError):
    """A program may not be run; nothing was started."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"{name[:80]!r} {why}")


class Entry(Grammar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[plugins.native.program.<name>]`: a program that the owner adds."""

    path: str = ""
    """Absolute; empty = looked up by its name."""
    write: bool = False
    """Whether it may write in the workspace."""


class Program(msgspec.Struct, frozen=True):
    """One program that was found."""

    name: str
    path: str
    entry: Entry
    digest: str
    """SHA-256, in hex, of the file, when it was found."""
    status: tuple[int, ...]
    """Of the file: as long as it is the same, so is the content."""


class Programs:
    """All programs that may be run, by name. Blocks on the disk: call it in a thread."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._found: dict[str, Program] = {}

    @property
    def names(self) -> list[str]:
        """What may be run, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> Program:
        """The program *name*.

        Raises:
            ProgramRefused: it is not allowed, not there, or no longer what it was.
        """
        entry = self._entries.get(name)
        if entry is None:
            hint = f"[plugins.native.program.{name}]" if NAME.fullmatch(name) else "its plain name"
            raise ProgramRefused(name, f"is not allowed; the owner can add it: {hint}")
        known = self._found.get(name)
        if known is None:
            known = self._found[name] = _find(name, entry)
        elif _status(Path(known.path)) != known.status:
            fresh = _find(name, entry)
            if (fresh.path, fresh.digest) != (known.path, known.digest):
                raise ProgramRefused(name, "has changed since it was first used; restart Loom")
            self._found[name] = fresh
        return self._found[name]


def read_programs(names: Iterable[str], tables: Mapping[str, Any]) -> Programs:
    """The programs of the settings: *names* of the default ones, and *tables* of others.

    Raises:
        ConfigError: a name has no grammar, or a table is wrong.
    """
    entries: dict[str, Entry] = {}
    for name in names:
        if name in DEFAULTS:
            entries[name] = msgspec.convert(msgspec.structs.asdict(DEFAULTS[name]), Entry)
        elif name not in tables:
            raise ConfigError(
                f"[plugins.native] programs: {name!r} is none that Loom knows; say in "
                f"[plugins.native.program.{name}] what it may be given"
            )
    for name, table in tables.items():
        entries[name] = _read_entry(name, table)
    return Programs(entries)


def _read_entry(name: str, table: Any) -> Entry:
    where = f"[plugins.native.program.{name}]"
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    if problem := entry.problem():
        raise ConfigError(f"{where}: {problem}")
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name has letters, digits and . _ + - only; use 'path'")
    if entry.path and not Path(entry.path).is_absolute():
        raise ConfigError(f"{where}: path = {entry.path!r} must be absolute")
    return entry


def _find(name: str, entry: Entry) -> Program:
    from hashlib import file_digest  # it loads OpenSSL, which most processes never need

    for path in [entry.path] if entry.path else [f"{folder}/{name}" for folder in FOLDERS]:
        if not Path(path).is_file():
            continue
        real = Path(path).resolve()
        if not entry.path and real.name != name:
            why = f"is {real.name} under another name; its owner can add it by its path"
            raise ProgramRefused(name, why)
        if real.stat().st_mode & _OTHERS_WRITE:
            raise ProgramRefused(name, "can be changed by others than its owner")
        with real.open("rb") as file:
            return Program(
                name, str(real), entry, file_digest(file, "sha256").hexdigest(), _status(real)
            )
    raise ProgramRefused(name, "is not installed")


def _status(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
