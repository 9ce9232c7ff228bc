"""What an entry is and holds: plain files and folders, and nothing that works unseen."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from loom.archives.limits import LARGEST, MOST_RATIO, is_bomb
from loom.archives.names import Names, check_path
from loom.archives.records import Record
from loom.archives.refusals import ArchiveRefused

FAT, UNIX = 0, 3
MODULES = (".py", ".pyw", ".so", ".pyd")
COMPILED = (".pyc", ".pyo")
STARTERS = ("sitecustomize", "usercustomize")
_DOS_FOLDER, _DOS_ODD = 0x10, 0x08
_NESTED = (
    b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf",
    b"Rar!",
)  # fmt: skip
"""How archives and packed files begin. A tar says it in its 257th byte."""
HEAD = 512
"""How many of the first bytes of a file `check_head` has to see."""


class Content(NamedTuple):
    """One file of a folder."""

    digest: str
    """SHA-256, in hex."""
    is_executable: bool


def check_entries(records: Iterable[Record]) -> dict[str, Record]:
    """The files among *records*, by path; their names, kinds and sizes may be.

    Raises:
        ArchiveRefused: one of them may not.
    """
    names, files, total = Names(), {}, 0
    for record in records:
        is_folder = record.name.endswith("/")
        path = record.name.removesuffix("/")
        check_path(path)
        _check_kind(record, is_folder)
        check_starter(path)
        names.add(path, is_folder=is_folder)
        shared = record.shared
        total += shared.size
        if is_bomb(shared.size, shared.packed):
            raise ArchiveRefused(f"more than {MOST_RATIO} bytes come out of each of it", path)
        if total > LARGEST:
            raise ArchiveRefused(f"more than {LARGEST >> 20} MiB come out of all entries", path)
        if not is_folder:
            files[path] = record
    return files


def _check_kind(record: Record, is_folder: bool) -> None:
    mode = record.attributes >> 16 if record.system == UNIX else 0
    kind, rights = stat.S_IFMT(mode), stat.S_IMODE(mode)
    if record.system not in (FAT, UNIX):
        raise ArchiveRefused(f"it comes from an unknown system ({record.system})", record.name)
    if kind == stat.S_IFLNK:
        raise ArchiveRefused("it is a link", record.name)
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
        raise ArchiveRefused("it is neither a file nor a folder, or not what it says", record.name)
    if rights & ~0o777:
        raise ArchiveRefused("it would run with the rights of its owner (setuid)", record.name)
    dos = record.attributes & 0xFF
    if dos & _DOS_ODD or (dos & _DOS_FOLDER and not is_folder):
        raise ArchiveRefused("its attributes say that it is no file", record.name)
    if is_folder and record.shared.size:
        raise ArchiveRefused("it is a folder, yet has content", record.name)


def is_executable(record: Record) -> bool:
    """Whether its owner may run it."""
    return record.system == UNIX and bool(record.attributes >> 16 & stat.S_IXUSR)


def check_starter(path: str) -> None:
    """Accept *path* unless Python would run, or obey, such a file without being asked to.

    Raises:
        ArchiveRefused: it would.
    """
    for part in path.lower().split("/"):
        stem, _, _ = part.partition(".")
        if part.endswith((".pth", "._pth")) or part == "pyvenv.cfg":
            raise ArchiveRefused("Python obeys such a file at its start", path)
        if stem in STARTERS:
            raise ArchiveRefused("Python runs such a module at its start", path)
        if part == "__pycache__" or part.endswith(COMPILED):
            raise ArchiveRefused("it is compiled: nobody can read what it does", path)


def check_head(head: bytes, path: str) -> None:
    """Accept the file *path* unless its first bytes are those of another archive.

    Raises:
        ArchiveRefused: they are.
    """
    if head.startswith(_NESTED) or head[257:262] == b"ustar":
        raise ArchiveRefused("it is an archive itself: nobody sees what is in it", path)


def check_shadows(paths: Iterable[str], folders: Iterable[str]) -> None:
    """Accept *paths* unless a module in *folders* stands before one of Python's own.

    Raises:
        ArchiveRefused: it does.
    """
    known = {name.lower() for name in sys.stdlib_module_names}
    tops = set(folders)
    for path in paths:
        parts = PurePosixPath(path).parts
        for top in tops:
            above = PurePosixPath(top).parts
            if parts[: len(above)] != above:
                continue
            name, *below = parts[len(above) :]
            if not _is_module(name, below):
                continue
            if (stem := name.lower().partition(".")[0]) in known:
                raise ArchiveRefused(f"it would stand before Python's own module {stem!r}", path)


def _is_module(name: str, below: list[str]) -> bool:
    """Whether Python would import *name*: a file, or the folder of a package."""
    if not below:
        return name.lower().endswith(MODULES)
    return len(below) == 1 and below[0].lower().startswith("__init__.")


def executables(found: Mapping[str, Content]) -> list[str]:
    """The files that may be run, sorted."""
    return sorted(path for path, content in found.items() if content.is_executable)
