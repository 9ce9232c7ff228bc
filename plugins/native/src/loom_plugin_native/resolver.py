"""Two ways to open names strictly beneath a directory handle; never check first and open later.

`openat2` lets the kernel resolve the whole path in one call and refuse whatever leaves the
handle, also while somebody swaps directories for links: a relative link that stays beneath is
followed, an absolute or escaping one is refused. `walk` is for systems without that call: it
opens one name after the other and follows no link at all. Where neither works there is no
workspace.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Protocol

_OPENAT2 = 437  # the same number on every architecture but Alpha
_NO_MAGIC_LINKS = 0x02
_BENEATH = 0x08
_ATTEMPTS = 128
_HERE = b"."

CLOEXEC = getattr(os, "O_CLOEXEC", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


class Resolver(Protocol):
    """Opens names beneath a handle, or raises `OSError`: EXDEV or ELOOP where it would leave."""

    name: str

    def open(self, root: int, names: Sequence[str], flags: int) -> int: ...


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Openat2Resolver:
    """Linux 5.6 and later: the kernel keeps the promise."""

    name = "openat2"

    def __init__(self) -> None:
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long

    def open(self, root: int, names: Sequence[str], flags: int) -> int:
        path = "/".join(names).encode() or _HERE
        # EAGAIN: a rename raced with a `..` inside a link and the kernel could not be sure.
        for _ in range(_ATTEMPTS):
            handle = self._once(root, path, flags)
            if handle >= 0:
                return handle
            if (code := ctypes.get_errno()) not in {errno.EAGAIN, errno.EINTR}:
                raise OSError(code, os.strerror(code))
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _once(self, root: int, path: bytes, flags: int) -> int:
        how = _OpenHow(flags | CLOEXEC, 0, _BENEATH | _NO_MAGIC_LINKS)
        result: int = self._call(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        return result


class WalkResolver:
    """Other POSIX systems: one handle a name, and no link is followed."""

    name = "walk"

    def open(self, root: int, names: Sequence[str], flags: int) -> int:
        if not names:
            return os.open(_HERE, flags | CLOEXEC, dir_fd=root)
        parent = os.dup(root)
        try:
            for name in names[:-1]:
                child = os.open(name, os.O_RDONLY | DIRECTORY | NO_FOLLOW | CLOEXEC, dir_fd=parent)
                os.close(parent)
                parent = child
            return os.open(names[-1], flags | NO_FOLLOW | CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)


@cache
def best_resolver() -> Resolver | None:
    """The strongest way this system offers, chosen once; None if it offers none (Windows)."""
    if sys.platform == "linux" and _openat2_works():
        return Openat2Resolver()
    if os.open in os.supports_dir_fd and NO_FOLLOW and DIRECTORY:
        return WalkResolver()
    return None


def _openat2_works() -> bool:
    # Asked instead of looked up: old container filters answer EPERM for calls they do not know.
    here = os.open(_HERE, os.O_RDONLY | DIRECTORY | CLOEXEC)
    try:
        os.close(Openat2Resolver().open(here, (), os.O_RDONLY | DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(here)
    return True
