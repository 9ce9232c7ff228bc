"""A workspace: a folder held open as a handle, and the file operations that cannot leave it.

Every operation resolves its path beneath the handle (see `resolver`) and then works relative to the
handles it opened, so there is no moment between a check and its use. The object does not keep the
folder's real path, so no error can show it.
"""

from __future__ import annotations

import heapq
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from loom_plugin_native import contents
from loom_plugin_native.errors import (
    FileTooLarge,
    InvalidPath,
    NotText,
    WorkspaceGone,
    WrongKind,
    explain,
)
from loom_plugin_native.paths import split
from loom_plugin_native.resolver import CLOEXEC, DIRECTORY, Resolver, best_resolver
from loom_plugin_native.states import ABSENT, State, look, put_back

MAX_ENTRIES = 1_000
"""The most entries one listing returns."""

_MAX_SCANNED = 100_000
_OPEN_DIRECTORY = os.O_RDONLY | DIRECTORY
# Without O_NONBLOCK opening a pipe waits for its other end, for ever.
_OPEN_TO_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class Entry(NamedTuple):
    """One line of a listing: *kind* is file, directory, link or other, *size* 0 unless a file."""

    name: str
    kind: str
    size: int


class Listing(NamedTuple):
    """Entries sorted by name; *truncated* says that the directory holds more than are listed."""

    entries: tuple[Entry, ...]
    truncated: bool


class Deleted(NamedTuple):
    """What kind of thing was deleted."""

    was_directory: bool


class Workspace:
    """A folder that file operations cannot leave. Safe to use from several threads.

    All methods block on the disk: call them in a thread. Paths are as in `paths.split`.
    """

    def __init__(self, root: int, resolver: Resolver) -> None:
        self._root = root
        self._resolver = resolver
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, resolver: Resolver | None = None) -> Workspace:
        """Open *folder*, which must exist.

        Raises:
            OSError: the folder cannot be opened.
            NotImplementedError: this system has no safe way to keep operations beneath a folder.
        """
        resolver = resolver or best_resolver()
        if resolver is None:
            raise NotImplementedError("this system cannot open files beneath a directory handle")
        return cls(os.open(folder, _OPEN_DIRECTORY | CLOEXEC), resolver)

    @property
    def mechanism(self) -> str:
        """How operations are kept beneath the folder: openat2 or walk."""
        return self._resolver.name

    @property
    def is_there(self) -> bool:
        """Whether the folder still exists; one that was removed and made again is another."""
        return os.fstat(self._root).st_nlink > 0

    def close(self) -> None:
        """Refuse new operations; those that have begun finish on their own handles."""
        with self._lock:
            root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    def read(self, path: str) -> str:
        """Return the text of a regular file of at most `contents.MAX_BYTES`, exactly as stored."""
        names = split(path)
        with self._operation(path) as root, self._opened(root, names, _OPEN_TO_READ) as handle:
            content = contents.read(path, handle)
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise NotText(path) from None

    def write(self, path: str, text: str) -> int:
        """Make the file hold exactly *text*, creating its directories; return the bytes written.

        Readers see the old content or the new, never a part, also after a power cut. The mode of
        a file that was there is kept. A link is not written through.
        """
        names = split(path)
        if not names:
            raise WrongKind(path, "is the workspace itself, not a file")
        try:
            content = text.encode()
        except UnicodeEncodeError:
            raise NotText(path) from None
        if len(content) > contents.MAX_BYTES:
            raise FileTooLarge(path, contents.MAX_BYTES)
        with self._operation(path) as root, self._made(root, names[:-1]) as parent:
            contents.replace(path, parent, names[-1], content)
        return len(content)

    def list(self, path: str, limit: int = MAX_ENTRIES) -> Listing:
        """List a directory: the first *limit* entries by name."""
        names = split(path)
        with (
            self._operation(path) as root,
            self._opened(root, names, _OPEN_DIRECTORY) as handle,
            os.scandir(handle) as scanned,
        ):
            seen = islice(scanned, _MAX_SCANNED)
            chosen = heapq.nsmallest(limit + 1, seen, key=lambda entry: entry.name)
            more = len(chosen) > limit or next(scanned, None) is not None
            return Listing(tuple(map(_describe, chosen[:limit])), more)

    def delete(self, path: str) -> Deleted:
        """Delete a file, a link (not what it points to) or an empty directory."""
        names = split(path)
        if not names:
            raise InvalidPath(path, "is the workspace itself")
        with (
            self._operation(path) as root,
            self._opened(root, names[:-1], _OPEN_DIRECTORY) as parent,
        ):
            status = os.stat(names[-1], dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(names[-1], dir_fd=parent)
            else:
                os.unlink(names[-1], dir_fd=parent)
        return Deleted(stat.S_ISDIR(status.st_mode))

    def tidy(self, path: str) -> int:
        """Remove what a killed Loom left half written in a directory; how many files that were."""
        with (
            self._operation(path) as root,
            self._opened(root, split(path), _OPEN_DIRECTORY) as handle,
            os.scandir(handle) as scanned,
        ):
            drafts = [entry.name for entry in scanned if contents.DRAFT.fullmatch(entry.name)]
            return sum(contents.remove_draft(handle, name) for name in drafts)

    def look(self, path: str, keep: int = 0) -> State:
        """What *path* is now; a file's content is kept up to *keep* bytes."""
        names = split(path)
        if not names:
            raise InvalidPath(path, "is the workspace itself")
        with self._operation(path) as root:
            try:
                opened = self._resolver.open(root, names[:-1], _OPEN_DIRECTORY)
            except FileNotFoundError:
                return ABSENT
            with self._closing(opened) as parent:
                return look(path, parent, names[-1], keep)

    def put_back(self, path: str, state: State) -> None:
        """Make *path* what *state* says, with its directories; what is there now is replaced."""
        names = split(path)
        if not names:
            raise InvalidPath(path, "is the workspace itself")
        with self._operation(path) as root, self._made(root, names[:-1]) as parent:
            put_back(path, parent, names[-1], state)

    @contextmanager
    def _operation(self, path: str) -> Iterator[int]:
        # Each operation works on its own handle: the number of a closed one may already be reused.
        with self._lock:
            if self._root < 0:
                raise WorkspaceGone(path)
            root = os.dup(self._root)
        try:
            yield root
        except OSError as error:
            is_gone = os.fstat(root).st_nlink == 0
            raise (WorkspaceGone(path) if is_gone else explain(path, error)) from None
        finally:
            os.close(root)

    @contextmanager
    def _opened(self, root: int, names: Sequence[str], flags: int) -> Iterator[int]:
        with self._closing(self._resolver.open(root, names, flags)) as handle:
            yield handle

    @contextmanager
    def _closing(self, handle: int) -> Iterator[int]:
        try:
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _made(self, root: int, names: Sequence[str]) -> Iterator[int]:
        """Open a directory, making what is missing on the way."""
        try:
            handle = self._resolver.open(root, names, _OPEN_DIRECTORY)
        except FileNotFoundError:
            handle = self._make(root, names)
        with self._closing(handle):
            yield handle

    def _make(self, root: int, names: Sequence[str]) -> int:
        for depth in range(len(names)):
            opened = self._opened(root, names[:depth], _OPEN_DIRECTORY)
            with opened as parent, suppress(FileExistsError):
                os.mkdir(names[depth], dir_fd=parent)
        return self._resolver.open(root, names, _OPEN_DIRECTORY)


def _describe(entry: os.DirEntry[str]) -> Entry:
    name = os.fsencode(entry.name).decode(errors="replace")
    if entry.is_symlink():
        return Entry(name, "link", 0)
    if entry.is_dir(follow_symlinks=False):
        return Entry(name, "directory", 0)
    if not entry.is_file(follow_symlinks=False):
        return Entry(name, "other", 0)
    try:
        return Entry(name, "file", entry.stat(follow_symlinks=False).st_size)
    except FileNotFoundError:  # deleted since the directory was read
        return Entry(name, "file", 0)
