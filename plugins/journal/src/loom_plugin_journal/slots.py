"""Which events are being handled: written down before a handler sees one, at no cost.

A shared mapping of a file outlives the process that wrote to it, whatever ends that. What is
found here at the next start was being handled when this Loom ended, and may be what ended it.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from zlib import crc32

SLOTS = 4096
_PAIR = struct.Struct("<IIQ")
"""Consumer, the check sum of both, record."""
_BOTH = struct.Struct("<IQ")


class Slots:
    """Pairs of numbers: a consumer's and a record's. Beyond 4,096 at once none is written down."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            if os.fstat(handle).st_size != SLOTS * _PAIR.size:
                os.truncate(handle, 0)
                os.posix_fallocate(handle, 0, SLOTS * _PAIR.size)
            self._memory = mmap.mmap(handle, SLOTS * _PAIR.size)
        finally:
            os.close(handle)
        self._free = list(range(SLOTS))

    def left(self) -> list[tuple[int, int]]:
        """What was being handled when the process before this one ended."""
        return [
            (consumer, sequence)
            for consumer, crc, sequence in _PAIR.iter_unpack(self._memory)
            if consumer and crc == crc32(_BOTH.pack(consumer, sequence))
        ]

    def clear(self) -> None:
        """Forget what was left."""
        self._memory[:] = bytes(len(self._memory))

    def take(self, consumer: int, sequence: int) -> int:
        """Write down that *consumer* begins to handle record *sequence*; the slot, -1 = none."""
        if not self._free:
            return -1
        slot = self._free.pop()
        crc = crc32(_BOTH.pack(consumer, sequence))
        _PAIR.pack_into(self._memory, slot * _PAIR.size, consumer, crc, sequence)
        return slot

    def free(self, slot: int) -> None:
        """It is done with."""
        if slot >= 0:
            _PAIR.pack_into(self._memory, slot * _PAIR.size, 0, 0, 0)
            self._free.append(slot)

    def close(self) -> None:
        """Let the file go."""
        self._memory.close()
