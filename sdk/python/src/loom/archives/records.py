"""The records of a zip file, read so strictly that no two readers could see different archives.

APPNOTE.TXT 6.3.10 (PKWARE), of which one form is taken: entries one after the other from the first
byte on, then the central directory, then its end; each header says all, and both say the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from loom.archives.limits import LONGEST_PATH, MOST_ENTRIES
from loom.archives.refusals import ArchiveRefused

STORED, DEFLATED = 0, 8
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_NO_16, _NO_32 = 0xFFFF, 0xFFFFFFFF
_UTF8 = 0x0800
_HARMLESS = _UTF8 | 0x0006
"""Flags that may be set: the names' code, and how hard the packer tried."""
_EXTRA = (0x5455, 0x7875)
"""Extra fields that may be there: times and owners, of which nothing is used."""
_FLAGS = (
    (0x0001 | 0x0040 | 0x2000, "it is encrypted"),
    (0x0008, "its header leaves its size to a record behind it"),
)


class Shared(NamedTuple):
    """What both headers of an entry say."""

    needed: int
    flags: int
    method: int
    time: int
    date: int
    sum: int
    packed: int
    size: int


class Record(NamedTuple):
    """One entry, as both of its headers describe it."""

    name: str
    shared: Shared
    system: int
    """Who wrote `attributes`: 0 = FAT, 3 = Unix."""
    attributes: int
    offset: int
    """Where its local header begins."""
    start: int
    """Where its data begins."""

    @property
    def end(self) -> int:
        """Where its data ends."""
        return self.start + self.shared.packed


def read_records(data: memoryview) -> list[Record]:
    """The entries of the archive *data*, in their order in it; nothing is unpacked.

    Raises:
        ArchiveRefused: it is no zip file, or not of the one form that is taken.
    """
    count, start, end = _read_end(data)
    records = sorted(_read_central(data, count, start, end), key=lambda record: record.offset)
    position = 0
    for record in records:
        if record.offset != position:
            lies = "overlaps the one before it" if record.offset < position else "follows a gap"
            raise ArchiveRefused(f"it {lies}", record.name)
        position = record.end
    if position != start:
        raise ArchiveRefused("something lies between its last entry and its directory")
    return records


def _read_end(data: memoryview) -> tuple[int, int, int]:
    """How many entries there are, and where the directory begins and ends."""
    place = len(data) - _END.size
    if place < 0 or _starts(data, place) != b"PK\5\6":
        raise ArchiveRefused("it is no zip file, or something follows its end")
    _, disk, first, here, count, size, start, comment = _END.unpack_from(data, place)
    if _NO_16 in (disk, first, here, count) or _NO_32 in (size, start):
        raise ArchiveRefused("it is in the form for huge archives (zip64)")
    if disk or first or here != count:
        raise ArchiveRefused("it is one part of several")
    if comment:
        raise ArchiveRefused("its end announces a comment")
    if not 0 < count <= MOST_ENTRIES:
        raise ArchiveRefused(f"it has {count} entries; 1 to {MOST_ENTRIES} are allowed")
    if start + size != place:
        raise ArchiveRefused("its directory does not lie where its end says")
    return count, start, place


def _read_central(data: memoryview, count: int, place: int, end: int) -> Iterator[Record]:
    start = place
    for number in range(count):
        if place + _CENTRAL.size > end or _starts(data, place) != b"PK\1\2":
            raise ArchiveRefused(f"its directory ends before entry {number + 1} of {count}")
        fields = _CENTRAL.unpack_from(data, place)
        name_size, extra_size, comment, disk = fields[10:14]
        below = place + _CENTRAL.size
        place = below + name_size + extra_size + comment
        if place > end:
            raise ArchiveRefused(f"its directory ends within entry {number + 1} of {count}")
        raw = bytes(data[below : below + name_size])
        extra = data[below + name_size : below + name_size + extra_size]
        name = _name(raw, fields[3])
        if comment or disk:
            raise ArchiveRefused("it has a comment, or lies in another part", name)
        _check_extra(extra, name)
        shared = Shared(*fields[2:10])
        _check(shared, name)
        offset = fields[16]
        data_at = _check_local(data, start, offset, shared, raw, name)
        yield Record(name, shared, fields[1] >> 8, fields[15], offset, data_at)
    if place != end:
        raise ArchiveRefused("its directory holds more than its end says")


def _starts(data: memoryview, place: int) -> bytes:
    return bytes(data[place : place + 4])


def _name(raw: bytes, flags: int) -> str:
    if not 0 < len(raw) <= LONGEST_PATH + 1:
        raise ArchiveRefused(f"an entry's name has {len(raw)} bytes; 1 to {LONGEST_PATH} may be")
    try:
        return raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        shown = raw.decode("ascii", "backslashreplace")
        raise ArchiveRefused("its name is not in the code that it says", shown) from None


def _check(shared: Shared, name: str) -> None:
    for flags, problem in _FLAGS:
        if shared.flags & flags:
            raise ArchiveRefused(problem, name)
    if shared.flags & ~_HARMLESS:
        raise ArchiveRefused(f"it has unknown flags ({shared.flags:#06x})", name)
    if shared.method not in (STORED, DEFLATED):
        raise ArchiveRefused(f"it is packed by an unknown method ({shared.method})", name)
    if _NO_32 in (shared.packed, shared.size) or shared.needed >= 45:
        raise ArchiveRefused("it is in the form for huge archives (zip64)", name)
    if shared.needed not in (10, 20):
        raise ArchiveRefused(f"it needs an unpacker of version {shared.needed / 10}", name)
    if shared.method == STORED and shared.packed != shared.size:
        raise ArchiveRefused("it is not packed, yet has two sizes", name)


def _check_extra(extra: memoryview, name: str) -> None:
    place = 0
    while place < len(extra):
        if place + 4 > len(extra):
            raise ArchiveRefused("its extra fields are torn", name)
        kind, size = struct.unpack_from("<2H", extra, place)
        if kind not in _EXTRA:
            raise ArchiveRefused(f"it has an unknown extra field ({kind:#06x})", name)
        place += 4 + size
    if place != len(extra):
        raise ArchiveRefused("its extra fields are torn", name)


def _check_local(
    data: memoryview, end: int, place: int, shared: Shared, raw: bytes, name: str
) -> int:
    """Where the data begins of the entry whose local header is at *place*, if it agrees."""
    if place + _LOCAL.size > end or _starts(data, place) != b"PK\3\4":
        raise ArchiveRefused("it has no header where the directory says", name)
    fields: tuple[int, ...] = _LOCAL.unpack_from(data, place)
    name_size, extra_size = fields[9:]
    below = place + _LOCAL.size
    start = below + name_size + extra_size
    if start + shared.packed > end:
        raise ArchiveRefused("it does not end before the directory", name)
    if Shared(*fields[1:9]) != shared or bytes(data[below : below + name_size]) != raw:
        raise ArchiveRefused("its own header and the directory do not agree", name)
    _check_extra(data[below + name_size : start], name)
    return start
