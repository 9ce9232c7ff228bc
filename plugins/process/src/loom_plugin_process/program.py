"""`[process.<name>]`: a program that is a plugin, and what its owner grants it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from loom.processes import find_program
from loom_kernel import ConfigError, InvalidTopic, Paths, check_pattern, installed

TABLE = "process"
MIB = 1 << 20
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
RESERVED = ("cli", "kernel", "local", "loom")
"""Names under which Loom itself speaks, besides its plugins' own."""


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One program, as its table says. Paths are relative to the folder of loom.toml."""

    command: tuple[str, ...]
    """The program and its arguments; those that name files are made absolute."""
    cwd: str = ""
    """The plugin's own folder: it is started there and may read all of it; the names of files in
    `command` are relative to it."""
    env: dict[str, str] = {}
    """Its environment, besides a harmless PATH, HOME and LANG."""
    read: tuple[str, ...] = ()
    """What it may read besides the system's programs and the files that `command` names."""
    write: tuple[str, ...] = ()
    network: bool = False
    memory: int = 512
    """MiB of address space; 0 = no limit, for what reserves much more than it uses (Node)."""
    permissions: tuple[str, ...] = ()
    """What its tools may say that they need; a tool that needs more is refused."""
    subscribe: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    """Its own settings, handed over when it is started."""
    timeout: float = 30.0
    """Seconds that it has for one event."""
    enabled: bool = True
    calls: int = 64
    """How many of its tools' calls may run at once."""
    events: int = 1000
    """How many events it may publish in a second, news of its calls too; what is more waits."""
    frame: int = 4
    """MiB of the longest message, either way."""

    def __post_init__(self) -> None:
        if not self.command or "" in self.command[:1]:
            raise ValueError("command must name a program")
        if any("\0" in word for word in (*self.command, *self.env, *self.env.values())):
            raise ValueError("command and env must not hold the character NUL")
        if self.timeout <= 0 or min(self.calls, self.events, self.frame) < 1 or self.memory < 0:
            raise ValueError("timeout, calls, events and frame must be above 0, memory not below")
        for pattern in (*self.subscribe, *self.publish):
            check_pattern(pattern)


class Located(msgspec.Struct, frozen=True):
    """Where the parts of a program are on this machine."""

    argv: tuple[str, ...]
    cwd: str
    """Empty if it has no folder of its own."""
    files: tuple[str, ...]
    """The files that the command names, the program first."""


def read_programs(table: Any) -> dict[str, Program]:
    """The programs of `[process]`, by name.

    Raises:
        ConfigError: one is wrong; the text names it and the key.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{TABLE}] must be a table of tables: [{TABLE}.<name>]")
    return {name: _read(name, entry) for name, entry in table.items()}


def _read(name: str, entry: Any) -> Program:
    where = f"[{TABLE}.{name}]"
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: {name!r} cannot name a plugin; use small letters, digits, - and _, "
            "beginning with a letter, at most 40"
        )
    if name in RESERVED or name in installed():
        raise ConfigError(f"{where}: Loom itself speaks as {name!r}; choose another name")
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where} must be a table, not {entry!r}")
    fields = Program.__struct_fields__
    for key in entry:
        if key not in fields:
            near = get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"unknown key {key!r} in {where}; {hint}")
    try:
        return msgspec.convert(dict(entry), Program)
    except (msgspec.ValidationError, InvalidTopic) as error:
        raise ConfigError(f"{where}: {error}") from error


def locate(program: Program, paths: Paths) -> Located:
    """Find the parts of *program*. Blocks.

    Raises:
        ProgramMissing: there is no such program here.
    """
    base = base_of(paths)
    folder = base / Path(program.cwd).expanduser() if program.cwd else None
    first = find_program(program.command[0], base=folder or base)
    argv, files = [first], [first]
    for word in program.command[1:]:
        file = Path(os.path.abspath((folder or base) / word))  # noqa: PTH100  # links stay links
        if not word.startswith("-") and file.is_file():
            word = str(file)  # noqa: PLW2901  # as it is started
            files.append(word)
        argv.append(word)
    return Located(tuple(argv), str(folder or ""), tuple(files))


def base_of(paths: Paths) -> Path:
    """The folder to which a program's paths are relative."""
    return paths.project or paths.state


def absolute(names: tuple[str, ...], paths: Paths) -> tuple[str, ...]:
    """*names* of files and folders, from the root on."""
    base = base_of(paths)
    return tuple(os.path.abspath(base / Path(name).expanduser()) for name in names)  # noqa: PTH100  # links stay links
