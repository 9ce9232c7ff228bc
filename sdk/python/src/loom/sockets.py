"""Unix sockets whose path is longer than their address may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["reachable"]

LONGEST = 100
"""Bytes of a path that are used as they are: a Unix socket's address holds 107 on Linux."""


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """*path* as a name that fits into a socket address, however long it is."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
