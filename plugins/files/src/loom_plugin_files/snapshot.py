"""What a watched folder holds at a moment: regular files by relative path, no links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from loom_plugin_files.selection import Selection


class Entry(NamedTuple):
    """One file as last seen. Equal entries mean unchanged content."""

    inode: int
    size: int
    mtime_ns: int


class Snapshot(dict[str, Entry]):
    """Files by relative path, which can also be asked where a file that was renamed used to be."""

    def __init__(self, files: Mapping[str, Entry] | None = None) -> None:
        super().__init__(files or {})
        self._paths = {entry.inode: relative for relative, entry in self.items()}

    def __setitem__(self, relative: str, entry: Entry) -> None:
        super().__setitem__(relative, entry)
        self._paths[entry.inode] = relative

    def __delitem__(self, relative: str) -> None:
        entry = self[relative]
        super().__delitem__(relative)
        if self._paths.get(entry.inode) == relative:
            del self._paths[entry.inode]

    def path_of(self, inode: int) -> str | None:
        """A path that the file with that number had."""
        return self._paths.get(inode)


class Scan(NamedTuple):
    """The files found, and the folders that could not be read."""

    files: dict[str, Entry]
    unreadable: set[str]


def look_up(root: Path, relative: str) -> Entry | None:
    """Return the regular file at that path, or None. Blocks."""
    try:
        status = (root / relative).lstat()
    except OSError:
        return None
    return _entry(status) if stat.S_ISREG(status.st_mode) else None


def scan(root: Path, selection: Selection, under: str = "") -> Scan:
    """Find every selected file below *under*. Blocks.

    Raises:
        OSError: the watched folder itself cannot be read.
    """
    found = Scan({}, set())
    waiting = [under]
    while waiting:
        folder = waiting.pop()
        try:
            for name, status in _content(root / folder):
                relative = f"{folder}/{name}" if folder else name
                if stat.S_ISDIR(status.st_mode) and selection.enters(relative):
                    waiting.append(relative)
                elif stat.S_ISREG(status.st_mode) and selection.takes(relative):
                    found.files[relative] = _entry(status)
        except OSError as error:
            if not folder:
                raise
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                found.unreadable.add(folder)
    return found


def is_below(relative: str, folders: set[str]) -> bool:
    """Whether one of *folders* contains the path; the empty text is the watched folder itself."""
    while relative:
        relative = relative.rpartition("/")[0]
        if relative in folders:
            return True
    return False


def _content(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    if not stat.S_ISDIR(folder.lstat().st_mode):  # for example a link that took its place
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since the folder was read: its own hint follows


def _entry(status: os.stat_result) -> Entry:
    return Entry(status.st_ino, status.st_size, status.st_mtime_ns)
