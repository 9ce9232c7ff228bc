"""Programs: where they are, and which folders they cannot run without."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from loom_kernel import LoomError

ENVIRONMENT: Mapping[str, str] = {
    "HOME": "/tmp",  # noqa: S108  # of the sandbox, which has one of its own
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TERM": "dumb",
}
"""The environment of a program that was granted no other."""

_PARTS = ("bin", "lib", "lib64", "libexec", "pyvenv.cfg")
"""What of a prefix holds programs; the rest may hold anything."""
_SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")))


class ProgramMissing(LoomError):
    """There is no such program: install it, or write where it is."""

    def __init__(self, name: str, looked: str) -> None:
        self.name = name
        super().__init__(f"no program {name!r} in {looked}; install it, or write its whole path")


def find_program(name: str, path: str = "", base: Path | None = None) -> str:
    """The absolute path of program *name*: a path (relative to *base*), or looked up in *path*.

    *path* is a search path like `$PATH`; empty = ours, after the folder of our own interpreter.

    Raises:
        ProgramMissing: there is none that can be run.
    """
    if "/" in name:
        file = (base or Path.cwd()) / Path(name).expanduser()
        if file.is_file() and os.access(file, os.X_OK):
            return str(file.absolute())
        raise ProgramMissing(name, str(file.parent))
    looked = path or f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=looked)
    if found is None:
        raise ProgramMissing(name, looked)
    return str(Path(found).absolute())


def needs(program: str) -> tuple[str, ...]:
    """The folders and files outside the system's own that *program* cannot run without.

    They are those of its installation: the prefix it lies in, the interpreter that its first
    line names, and the `node_modules` around it.
    """
    wanted = {place for file in _chain(Path(program)) for place in _around(file) if place.exists()}
    found: list[Path] = []
    for place in sorted(wanted):  # a folder comes before what lies in it
        if not any(place.is_relative_to(known) for known in (*_SYSTEM, *found)):
            found.append(place)
    return tuple(map(str, found))


def _chain(program: Path) -> Iterator[Path]:
    """*program*, what it is a link to, and its interpreter in the same way."""
    yield program
    seen = {program}
    while program.is_symlink():
        program = program.parent / program.readlink()
        if program in seen:
            return
        seen.add(program)
        yield program
    interpreter = _interpreter(program)
    if interpreter is not None and interpreter not in seen:
        yield from _chain(interpreter)


def _interpreter(program: Path) -> Path | None:
    try:
        with program.open("rb") as file:
            first = file.readline(512)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    if len(words) > 1 and Path(words[0]).name == "env":
        named = shutil.which(words[1])
        return Path(named) if named else None
    return Path(words[0]) if words else None


def _around(file: Path) -> Iterator[Path]:
    """What belongs to the installation that *file* is part of."""
    parts = file.parts
    if "node_modules" in parts:
        yield Path(*parts[: parts.index("node_modules") + 1])
        return
    yield file
    if file.parent.name == "bin":
        prefix = file.parent.parent
        yield from (prefix / part for part in _PARTS)
        yield from _home_of(prefix)


def _home_of(prefix: Path) -> Iterator[Path]:
    """What a virtual environment is made from."""
    try:
        text = (prefix / "pyvenv.cfg").read_text("utf-8")
    except OSError:
        return
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            base = Path(value.strip()).parent
            yield from (base / part for part in _PARTS)
