"""Zip files byte by byte, so that each of them can lie in exactly one place."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

FILE, FOLDER = 0o100644, 0o040755
STORED, DEFLATED = 0, 8
MANIFEST = """\
name = "words"
version = "{version}"
kind = "process"
summary = "Counts words"

[process]
command = ["python3", "main.py"]
"""
MAIN = "open('ran', 'w').close()\n"


class Entry(NamedTuple):
    """One entry; `local` and `central` say what only one of its headers holds."""

    name: str | bytes
    content: bytes = b"x = 1\n"
    mode: int = FILE
    method: int = STORED
    flags: int | None = None
    system: int = 3
    needed: int = 20
    extra: bytes = b""
    dos: int = 0
    packed: bytes | None = None
    """Its data as it lies in the archive, if that is not its content packed."""
    size: int | None = None
    sum: int | None = None
    local: Mapping[str, Any] = MappingProxyType({})
    central: Mapping[str, Any] = MappingProxyType({})
    before: bytes = b""
    """What lies between it and the entry before it."""
    is_phantom: bool = False
    """Whether only the directory has it."""


class End(NamedTuple):
    """The end of the archive, where it shall not say the truth."""

    disk: int = 0
    first: int = 0
    here: int | None = None
    total: int | None = None
    size: int | None = None
    start: int | None = None
    comment: bytes = b""
    before: bytes = b""
    after: bytes = b""
    between: bytes = b""
    """What lies between the last entry and the directory."""


def raw(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogatepass")


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def zeros(mebibytes: int) -> bytes:
    """So many MiB of zeros, deflated: a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * mebibytes + packer.flush()


def fields(entry: Entry) -> dict[str, Any]:
    """What both headers say, were it not for `local` and `central`."""
    data = entry.packed
    if data is None:
        data = deflated(entry.content) if entry.method == DEFLATED else entry.content
    name = raw(entry.name)
    flags = entry.flags
    if flags is None:
        flags = 0 if name.isascii() else 0x800
    return {
        "needed": entry.needed, "flags": flags, "method": entry.method, "time": 0, "date": 0x21,
        "sum": zlib.crc32(entry.content) if entry.sum is None else entry.sum,
        "packed": len(data), "size": len(entry.content) if entry.size is None else entry.size,
        "name": name, "extra": entry.extra, "data": data,
    }  # fmt: skip


def _shared(one: dict[str, Any]) -> tuple[int, ...]:
    keys = ("needed", "flags", "method", "time", "date", "sum", "packed", "size")
    return tuple(one[key] for key in keys)


def build(entries: Iterable[Entry], end: End = End()) -> bytes:  # noqa: B008  # it is a constant
    """The archive of *entries*."""
    body, directory, count = bytearray(end.before), bytearray(), 0
    for entry in entries:
        body += entry.before
        one = fields(entry)
        local = {**one, **entry.local}
        offset = len(body)
        if not entry.is_phantom:
            body += struct.pack(
                "<4s5H3L2H", local.get("mark", b"PK\3\4"), *_shared(local),
                len(local["name"]), len(local["extra"]),
            ) + local["name"] + local["extra"] + one["data"]  # fmt: skip
        central = {**one, "offset": offset, "disk": 0, "comment": b"", **entry.central}
        directory += struct.pack(
            "<4s6H3L5H2L", central.get("mark", b"PK\1\2"), entry.system << 8 | 20,
            *_shared(central), len(central["name"]), len(central["extra"]),
            len(central["comment"]), central["disk"], 0,
            (entry.mode << 16 | entry.dos) & 0xFFFFFFFF, central["offset"],
        ) + central["name"] + central["extra"] + central["comment"]  # fmt: skip
        count += 1
    body += end.between
    here = count if end.here is None else end.here
    said = here if end.total is None else end.total
    tail = struct.pack(
        "<4s4H2LH", b"PK\5\6", end.disk, end.first, here, said,
        len(directory) if end.size is None else end.size,
        len(body) if end.start is None else end.start, len(end.comment),
    )  # fmt: skip
    return bytes(body + directory) + tail + end.comment + end.after


def tool(*more: Entry, manifest: str | bytes = "", version: str = "1.0") -> list[Entry]:
    """The entries of a tool that is as it should be, and *more*."""
    text = raw(manifest or MANIFEST.format(version=version))
    return [Entry("loom-tool.toml", text), Entry("main.py", MAIN.encode()), *more]


def archive(*more: Entry, manifest: str | bytes = "", version: str = "1.0") -> bytes:
    """The archive of `tool`."""
    return build(tool(*more, manifest=manifest, version=version))
