"""Regular files, relative to the handle of the directory that holds them."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from typing import BinaryIO

from loom_plugin_native.errors import FileTooLarge, OperationDenied, WrongKind
from loom_plugin_native.resolver import CLOEXEC, NO_FOLLOW

MAX_BYTES = 10 * 1024 * 1024
"""The largest file that is read or written."""

DRAFT = re.compile(r"\.loom-[0-9a-f]{16}\.tmp")
"""Names of what is being written, until it takes the place of what was there."""
_OPEN_DRAFT = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | NO_FOLLOW | CLOEXEC
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | CLOEXEC


def read(path: str, handle: int) -> bytes:
    """Return what the regular file open at *handle* holds; *path* is for the errors."""
    status = os.fstat(handle)
    _check_regular(path, status)
    if status.st_size > MAX_BYTES:
        raise FileTooLarge(path, MAX_BYTES)
    content = read_at_most(handle, MAX_BYTES + 1)  # it may have grown since
    if len(content) > MAX_BYTES:
        raise FileTooLarge(path, MAX_BYTES)
    return content


def replace(path: str, parent: int, name: str, content: bytes, mode: int | None = None) -> None:
    """Put *content* in the place of *name* at once: readers see the old file or the new one.

    Its mode is *mode*, else that of the old file.
    """
    if mode is None:
        mode = _mode_to_keep(path, parent, name)
    handle, draft = _begin(parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, content, mode)
            os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=parent)
        raise
    _sync_directory(parent)


def remove_draft(parent: int, name: str) -> bool:
    """Remove *name* if it is a draft of this user's that nobody writes; whether it was."""
    if not DRAFT.fullmatch(name):
        return False
    try:
        handle = os.open(name, _OPEN_DRAFT, dir_fd=parent)
    except OSError:  # it is gone, a link, or another user's
        return False
    try:
        status = os.fstat(handle)
        is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
        if not (is_own and status.st_nlink == 1 and _lock(handle)):
            return False
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:  # it has just taken its place
        return False
    finally:
        os.close(handle)
    return True


def _begin(parent: int) -> tuple[int, str]:
    """A new draft, open and locked for as long as it is written; and its name."""
    while True:
        draft = f".loom-{secrets.token_hex(8)}.tmp"
        handle = os.open(draft, _OPEN_NEW, 0o666, dir_fd=parent)
        _lock(handle)
        if os.fstat(handle).st_nlink:
            return handle, draft
        os.close(handle)  # whoever tidies up came before the lock


def _lock(handle: int) -> bool:
    """Whether the file open at *handle* could be locked: nobody else holds it."""
    import fcntl  # there is none on Windows, where there is no workspace either

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _mode_to_keep(path: str, parent: int, name: str) -> int | None:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise WrongKind(path, "is a link; write to the file that it points to")
    _check_regular(path, status)
    if not status.st_mode & stat.S_IWUSR:
        raise OperationDenied(path, "is read-only")
    return status.st_mode & 0o777


def _check_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise WrongKind(path, "is a directory, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise WrongKind(path, "is not a regular file")


def read_at_most(handle: int, limit: int) -> bytes:
    """Up to *limit* bytes of what is open at *handle*."""
    chunks: list[bytes] = []
    while limit > 0 and (chunk := os.read(handle, min(limit, 1 << 20))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def _write(file: BinaryIO, content: bytes, mode: int | None) -> None:
    if mode is not None:
        os.fchmod(file.fileno(), mode)
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a directory
            raise
