"""Making an archive of a tool's folder: the same bytes each time, and only what can be seen."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from loom.archives.contents import COMPILED
from loom.archives.limits import LARGEST, MOST_ENTRIES, MOST_RATIO
from loom.archives.manifests import MANIFEST, ToolManifest, read_manifest
from loom.archives.opening import Archive, open_archive
from loom.archives.records import DEFLATED, STORED
from loom.archives.refusals import ArchiveRefused

LEFT_OUT = ("__pycache__", "loom.toml", "tools.lock")
"""What belongs to whoever develops the tool; beside all names that begin with a dot."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip file can hold."""


def pack(folder: Path, target: Path) -> tuple[Path, Archive]:
    """Pack the tool in *folder* into `NAME-VERSION.zip` in the folder *target*. Blocks.

    The same folder gives the same bytes, with the same zlib. An archive of that name is replaced.

    Raises:
        ArchiveRefused: `open_archive` would not take what comes out; the message says why.
        OSError: something cannot be read or written.
    """
    try:
        manifest = read_manifest(_manifest_text(folder))
        files = dict(_files(folder, manifest))
    except ArchiveRefused as refusal:
        raise refusal.of(str(folder)) from None
    archive = target / f"{manifest.name}-{manifest.version}.zip"
    draft = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        _write(draft, files)
        packed = open_archive(draft)
        draft.replace(archive)
    except ArchiveRefused as refusal:
        raise refusal.of(str(folder)) from None
    finally:
        draft.unlink(missing_ok=True)
    return archive, packed


def _manifest_text(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise ArchiveRefused(f"it has no {MANIFEST}") from None


def _files(folder: Path, manifest: ToolManifest) -> Iterator[tuple[str, Path]]:
    """What is packed, by its path in the archive, sorted."""
    wanted = {MANIFEST, *manifest.files} if manifest.files else set()
    left = LARGEST
    for name in sorted(wanted):
        if not (folder / name).exists():
            raise ArchiveRefused(f"it has no {name}, which its manifest lists", name)
    found = sorted(_walk(folder), key=lambda path: path.relative_to(folder).as_posix())
    for number, path in enumerate(found):
        name = path.relative_to(folder).as_posix()
        if wanted and not any(name == one or name.startswith(f"{one}/") for one in wanted):
            continue
        facts = path.lstat()
        left -= facts.st_size
        if stat.S_ISLNK(facts.st_mode) or not stat.S_ISREG(facts.st_mode):
            raise ArchiveRefused("it is a link, or no file", name)
        if left < 0 or number >= MOST_ENTRIES * 10:
            raise ArchiveRefused(f"it holds more than {LARGEST >> 20} MiB, or too many files")
        yield name, path


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in LEFT_OUT or path.suffix in COMPILED:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _write(target: Path, files: dict[str, Path]) -> None:
    import zipfile  # with every method it knows: only packing needs that

    with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in files.items():
            content = path.read_bytes()
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3  # Unix, wherever it is packed
            runs = path.stat().st_mode & stat.S_IXUSR
            info.external_attr = (stat.S_IFREG | (0o755 if runs else 0o644)) << 16
            archive.writestr(info, content, _method(content))


def _method(content: bytes) -> int:
    """How *content* is packed: not at all, if it would look like a bomb or become longer."""
    packed = len(zlib.compress(content, 9, -zlib.MAX_WBITS))
    return DEFLATED if packed < len(content) <= packed * MOST_RATIO else STORED
