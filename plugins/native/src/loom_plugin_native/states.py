"""What a name in a folder stands for, so that it can be compared, and put back as it was."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Literal

import msgspec

from loom_plugin_native import contents
from loom_plugin_native.errors import PathNotFound, WrongKind
from loom_plugin_native.resolver import CLOEXEC, DIRECTORY, NO_FOLLOW

Kind = Literal["absent", "file", "directory", "link", "other"]
_OPEN = os.O_RDONLY | NO_FOLLOW | CLOEXEC | getattr(os, "O_NONBLOCK", 0)
_CHUNK = 1 << 20
LARGEST = 64 << 20
"""Bytes of the largest file that is read; of larger ones only the outside is compared."""


class State(msgspec.Struct, frozen=True):
    """One name at one moment. *digest* is equal for two states that hold the same."""

    kind: Kind
    digest: str
    """SHA-256, in hex, of a file's content or a link's target; else the kind."""
    mode: int = 0
    size: int = 0
    target: str = ""
    """Where a link leads."""
    content: bytes | None = None
    """Of a file, if it was to be kept and could be."""
    is_known: bool = True
    """Whether it could be put back, as far as this tells: not what is too large, or no file."""

    def is_like(self, other: State) -> bool:
        """Whether both hold the same, with the same mode."""
        mine, theirs = (self.kind, self.digest), (other.kind, other.digest)
        return mine == theirs and (self.kind == "link" or self.mode == other.mode)


ABSENT = State("absent", "absent")


def look(path: str, parent: int, name: str, keep: int = 0) -> State:
    """What *name* in the folder *parent* is; a file's content is kept up to *keep* bytes."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return ABSENT
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=parent)
        return State("link", _digest(os.fsencode(target)), target=target)
    if stat.S_ISDIR(status.st_mode):
        return State("directory", "directory", mode)
    if not stat.S_ISREG(status.st_mode):
        return State("other", "other", mode, is_known=False)
    return _look_into(path, parent, name, keep)


def _look_into(path: str, parent: int, name: str, keep: int) -> State:
    handle = os.open(name, _OPEN, dir_fd=parent)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise WrongKind(path, "is not a regular file")
        content = contents.read_at_most(handle, LARGEST + 1)
    finally:
        os.close(handle)
    mode = stat.S_IMODE(status.st_mode)
    if len(content) > LARGEST:
        outside = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        digest = _digest(repr(outside).encode())
        return State("file", digest, mode, status.st_size, is_known=False)
    kept = content if len(content) <= keep else None
    return State("file", _digest(content), mode, len(content), "", kept)


def put_back(path: str, parent: int, name: str, state: State) -> None:
    """Make *name* in the folder *parent* what *state* says; something else may be there now."""
    match state.kind:
        case "file" if state.content is not None:
            _clear(parent, name, and_files=False)
            contents.replace(path, parent, name, state.content, state.mode)
        case "directory":
            _clear(parent, name)
            os.mkdir(name, dir_fd=parent)
            _set_mode(parent, name, state.mode)
        case "link":
            _clear(parent, name)
            os.symlink(state.target, name, dir_fd=parent)
        case "absent":
            _clear(parent, name)
        case _:
            raise PathNotFound(path)


def _clear(parent: int, name: str, *, and_files: bool = True) -> None:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif and_files or not stat.S_ISREG(status.st_mode):
            os.unlink(name, dir_fd=parent)


def _set_mode(parent: int, name: str, mode: int) -> None:
    handle = os.open(name, os.O_RDONLY | DIRECTORY | NO_FOLLOW | CLOEXEC, dir_fd=parent)
    try:
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def _digest(content: bytes) -> str:
    from hashlib import sha256  # it loads OpenSSL, which most processes never need

    return sha256(content).hexdigest()
