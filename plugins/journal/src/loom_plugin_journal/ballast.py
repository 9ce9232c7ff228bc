"""Room that is kept for the day on which the disk is full: then even removing needs some."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SCARCE = 1 << 20
"""Free bytes below which whatever fails is taken to have failed for want of room."""


class Ballast:
    """A file *path* of *size* bytes that is there to be removed."""

    def __init__(self, path: Path, size: int) -> None:
        self.is_released = False
        self._path = path
        self._size = size

    def reserve(self) -> bool:
        """Have the file, if the disk has room for it and a quarter more; whether it is there."""
        try:
            if self._length() < self._size:
                if self._free() < self._size + self._size // 4:
                    return not self.is_released
                self._make()
        except OSError:
            with suppress(OSError):
                self._path.unlink()
            return not self.is_released
        self.is_released = False
        return True

    def release(self) -> None:
        """Give its room to what must be written now."""
        self.is_released = True
        with suppress(OSError):
            self._path.unlink()

    def is_needed(self) -> bool:
        """Release it if there is next to no room left; whether that helped."""
        if self._free() >= min(SCARCE, self._size) or not self._length():
            return False
        self.release()
        return True

    def _make(self) -> None:
        handle = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, self._size)
        finally:
            os.close(handle)

    def _length(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _free(self) -> int:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize
