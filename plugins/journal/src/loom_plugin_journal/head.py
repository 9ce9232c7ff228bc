"""How many flushed commits there were, kept beside the file that holds them.

A flipped bit in the write-ahead log looks like a power cut: what follows it is gone in silence.
This number is only ever written after a flush, so a file that has fewer commits has lost some.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

_RECORD = struct.Struct("<QI")
_NUMBER = struct.Struct("<Q")


class Head:
    """One number in the file *path*. It may be behind, after a power cut; never ahead."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self.value = self._read()
        """What was noted; 0 = nothing, or nothing that is whole."""

    def _read(self) -> int:
        data = os.pread(self._file, _RECORD.size, 0)
        if len(data) < _RECORD.size:
            return 0
        number, crc = _RECORD.unpack(data)
        return number if crc32(_NUMBER.pack(number)) == crc else 0

    def note(self, number: int) -> None:
        """Keep *number*. A failure is no matter: an older one only proves less."""
        with suppress(OSError):
            os.pwrite(self._file, _RECORD.pack(number, crc32(_NUMBER.pack(number))), 0)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)
