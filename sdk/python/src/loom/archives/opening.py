"""Opening an archive: all of it is looked at before anybody is asked about it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from loom.archives.contents import (
    HEAD,
    Content,
    check_entries,
    check_head,
    check_shadows,
    is_executable,
)
from loom.archives.inflating import inflate
from loom.archives.limits import FLOOR_OF_ALL, LARGEST, LONGEST_MANIFEST, MOST_RATIO, is_bomb
from loom.archives.manifests import MANIFEST, ToolManifest, read_manifest
from loom.archives.records import Record, read_records
from loom.archives.refusals import ArchiveRefused


class Archive(msgspec.Struct, frozen=True):
    """An archive that was looked at as a whole. It keeps its bytes: the file may change."""

    digest: str
    """SHA-256 of the file, in hex."""
    manifest: ToolManifest
    files: Mapping[str, Content]
    """By path, in the order in which they lie in the archive."""
    size: int
    """Bytes of all its files."""
    data: bytes
    records: Mapping[str, Record]

    def unpack(self, path: str) -> Iterator[bytes]:
        """The content of the file *path*, in blocks."""
        return inflate(memoryview(self.data), self.records[path])


def open_archive(path: Path, digest: str = "") -> Archive:
    """Read and check the archive at *path*, whose SHA-256 must be *digest* if one is given. Blocks.

    Raises:
        ArchiveRefused: it is not plainly an archive of a tool; the message says why.
        OSError: it cannot be read.
    """
    try:
        return _opened(_read(path), digest)
    except ArchiveRefused as refusal:
        raise refusal.of(path.name) from None


def _read(path: Path) -> bytes:
    # Not to wait for whoever writes to a named pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ArchiveRefused("it is no file")
        if facts.st_size > LARGEST:
            raise ArchiveRefused(f"it has more than {LARGEST >> 20} MiB")
        data = file.read(facts.st_size + 1)
    if len(data) > facts.st_size:
        raise ArchiveRefused("it is still being written")
    return data


def _opened(data: bytes, wanted: str) -> Archive:
    digest = sha256(data).hexdigest()
    if wanted and wanted.lower() != digest:
        raise ArchiveRefused(f"its SHA-256 is {digest}, not {wanted}")
    view = memoryview(data)
    records = check_entries(read_records(view))
    size = sum(record.shared.size for record in records.values())
    if is_bomb(size, len(data), FLOOR_OF_ALL):
        raise ArchiveRefused(f"more than {MOST_RATIO} bytes come out of each of its own")
    manifest = read_manifest(_manifest_text(view, records))
    manifest.check_files(records)
    if manifest.kind == "process":
        check_shadows(records, manifest.tops(records))
    files = {path: _looked_at(view, path, record) for path, record in records.items()}
    return Archive(digest, manifest, files, size, data, records)


def _manifest_text(view: memoryview, records: Mapping[str, Record]) -> bytes:
    record = records.get(MANIFEST)
    if record is None:
        raise ArchiveRefused(f"it has no {MANIFEST} at its top")
    if record.shared.size > LONGEST_MANIFEST:
        raise ArchiveRefused(f"it has more than {LONGEST_MANIFEST >> 10} KiB", MANIFEST)
    return b"".join(inflate(view, record))


def _looked_at(view: memoryview, path: str, record: Record) -> Content:
    digest, head = sha256(), b""
    for block in inflate(view, record):
        if len(head) < HEAD:
            head += block[: HEAD - len(head)]
        digest.update(block)
    check_head(head, path)
    return Content(digest.hexdigest(), is_executable(record))
