"""Regular files, relative to the handle of the directory that holds them."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress

from loom_plugin_native.errors import FileTooLarge, OperationDenied, WrongKind
from loom_plugin_native.resolver import CLOEXEC, NO_FOLLOW

MAX_BYTES = 10 * 1024 * 1024
"""The largest file that is read or written."""

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
    draft = f".loom-{secrets.token_hex(8)}.tmp"
    try:
        _write_new(parent, draft, content, mode)
        os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=parent)
        raise
    _sync_directory(parent)


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


def _write_new(parent: int, name: str, content: bytes, mode: int | None) -> None:
    with os.fdopen(os.open(name, _OPEN_NEW, 0o666, dir_fd=parent), "wb") as file:
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
