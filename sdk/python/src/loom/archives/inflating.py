"""Unpacking one entry, block by block, never further than it was said to go."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from loom.archives.limits import BLOCK
from loom.archives.records import DEFLATED, Record
from loom.archives.refusals import ArchiveRefused


def inflate(data: memoryview, record: Record) -> Iterator[bytes]:
    """The content of *record* in blocks of at most 64 KiB.

    Raises:
        ArchiveRefused: it is not what its header says; at the first block that is too much.
    """
    packed = data[record.start : record.end]
    made, total = 0, 0
    for block in _deflated(packed, record) if record.shared.method == DEFLATED else _stored(packed):
        made += len(block)
        total = zlib.crc32(block, total)
        if made > record.shared.size:
            raise ArchiveRefused("more comes out of it than its header says", record.name)
        yield block
    if made != record.shared.size:
        raise ArchiveRefused("less comes out of it than its header says", record.name)
    if total != record.shared.sum:
        raise ArchiveRefused("its content does not have the sum that its header says", record.name)


def _stored(packed: memoryview) -> Iterator[bytes]:
    for place in range(0, len(packed), BLOCK):
        yield bytes(packed[place : place + BLOCK])


def _deflated(packed: memoryview, record: Record) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    place = 0
    pending: bytes | memoryview = b""
    while not unpacker.eof:
        if not pending:
            pending = packed[place : place + BLOCK]
            place += len(pending)
        try:
            block = unpacker.decompress(pending, BLOCK)
        except zlib.error:
            raise ArchiveRefused("it cannot be unpacked", record.name) from None
        pending = unpacker.unconsumed_tail
        if not block and not pending and place == len(packed) and not unpacker.eof:
            raise ArchiveRefused("it ends too early", record.name)
        yield block
    if unpacker.unused_data or place < len(packed):
        raise ArchiveRefused("something follows the end of its content", record.name)
