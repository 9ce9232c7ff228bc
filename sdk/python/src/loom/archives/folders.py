"""Writing and reading a folder by its handle: no name that appears meanwhile leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from loom.archives.contents import Content
from loom.archives.limits import BLOCK
from loom.archives.opening import Archive
from loom.archives.refusals import ArchiveRefused

MOST_FOUND = 20_000
"""Names in a folder that are looked at; one of an archive has far fewer."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Found(NamedTuple):
    """What a folder holds."""

    files: dict[str, Content]
    odd: tuple[str, ...]
    """What is neither a file nor a folder: links, devices, pipes."""


def write_folder(parent: int, name: str, archive: Archive) -> None:
    """Unpack *archive* to the new folder *name* below the folder whose handle is *parent*.

    It is on disk when this returns. Files have the mode 0644 or 0755, folders 0755. Blocks.

    Raises:
        OSError: no room, no right, or there is a *name*; what was written so far is left.
    """
    os.mkdir(name, 0o700, dir_fd=parent)
    top = os.open(name, _FOLDER, dir_fd=parent)
    try:
        for path, content in archive.files.items():
            _write(top, path, archive.unpack(path), content)
        for folder in _folders(archive.files):
            _settle(top, folder)
        os.fchmod(top, 0o755)
        os.fsync(top)
    finally:
        os.close(top)


def _write(top: int, path: str, blocks: Iterable[bytes], content: Content) -> None:
    *above, name = path.split("/")
    folder = _descend(top, above, make=True)
    try:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            digest = sha256()
            for block in blocks:
                digest.update(block)
                _write_all(descriptor, block)
            if digest.hexdigest() != content.digest:
                raise ArchiveRefused("its content is not what was looked at", path)
            os.fchmod(descriptor, 0o755 if content.is_executable else 0o644)
            os.fsync(file.fileno())
    finally:
        os.close(folder)


def _write_all(descriptor: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _descend(top: int, parts: Iterable[str], *, make: bool = False) -> int:
    """A handle of the folder *parts* below *top*."""
    folder = os.dup(top)
    for part in parts:
        try:
            if make:
                _make(folder, part)
            below = os.open(part, _FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder


def _make(folder: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return  # an earlier file's; what else it could be, opening it will not follow


def _folders(paths: Iterable[str]) -> set[tuple[str, ...]]:
    """Every folder above one of *paths*, as its parts."""
    found: set[tuple[str, ...]] = set()
    for path in paths:
        parts = tuple(path.split("/"))
        found.update(parts[:end] for end in range(1, len(parts)))
    return found


def _settle(top: int, parts: tuple[str, ...]) -> None:
    folder = _descend(top, parts)
    try:
        os.fchmod(folder, 0o755)
        os.fsync(folder)
    finally:
        os.close(folder)


def read_folder(parent: int, name: str) -> Found:
    """What the folder *name* below *parent* holds; no link is followed. Blocks.

    Raises:
        OSError: it is no folder, or cannot be read.
        ArchiveRefused: it holds too much.
    """
    files: dict[str, Content] = {}
    odd: list[str] = []
    top = os.open(name, _FOLDER, dir_fd=parent)
    try:
        for number, (folder, below, entry) in enumerate(_walk(top, ())):
            path = "/".join((*below, entry.name))
            if number > MOST_FOUND:
                raise ArchiveRefused(f"it holds more than {MOST_FOUND} names", archive=name)
            if entry.is_file(follow_symlinks=False):
                files[path] = _content(folder, entry.name)
            else:
                odd.append(path)
    finally:
        os.close(top)
    return Found(files, tuple(odd))


def _walk(
    folder: int, below: tuple[str, ...]
) -> Iterator[tuple[int, tuple[str, ...], os.DirEntry[str]]]:
    """All below *folder* but folders, each with a handle of its own folder."""
    with os.scandir(folder) as entries:
        names = sorted(entries, key=lambda entry: entry.name)
    for entry in names:
        if not entry.is_dir(follow_symlinks=False):
            yield folder, below, entry
            continue
        inner = os.open(entry.name, _FOLDER, dir_fd=folder)
        try:
            yield from _walk(inner, (*below, entry.name))
        finally:
            os.close(inner)


def _content(folder: int, name: str) -> Content:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        mode = os.fstat(descriptor).st_mode
        digest = sha256()
        while block := file.read(BLOCK):
            digest.update(block)
    return Content(digest.hexdigest(), bool(mode & stat.S_IXUSR))
