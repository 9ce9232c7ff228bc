"""From what was known and what is found now to what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from loom_plugin_files.selection import Selection
from loom_plugin_files.snapshot import Entry, Snapshot, is_below, look_up, scan

Kind = Literal["created", "modified", "moved", "deleted"]
Found = dict[str, Entry | None]


class Change(NamedTuple):
    """One thing that happened to a file; *entry* is its last known state, *source* its old path."""

    kind: Kind
    relative: str
    entry: Entry
    source: str = ""


class Touched(NamedTuple):
    """Where something happened, and what the operating system said about it."""

    relative: str
    is_directory: bool
    source: str = ""


def examine(root: Path, selection: Selection, touched: Iterable[Touched], known: Snapshot) -> Found:
    """Look what is at the touched paths now; None is nothing. Blocks."""
    found: Found = {}
    folders: set[str] = set()
    unreadable: set[str] = set()
    plain: dict[str, bool] = {}
    for relative, is_directory, _ in touched:
        is_plain = _is_plain(root, relative, plain)
        if is_directory and is_plain:
            scanned = scan(root, selection, relative)
            found.update(scanned.files)
            unreadable |= scanned.unreadable
        if is_directory:
            folders.add(relative)
        if selection.takes(relative):  # a file may have taken the place of a folder
            found[relative] = look_up(root, relative) if is_plain else None
    if folders:
        found |= _vanished(known, found, folders, unreadable)
    return found | _sources(root, known, found)


def examine_all(root: Path, selection: Selection, known: Snapshot, held: set[str]) -> Found:
    """Look at the whole folder, except at the paths *held*. Blocks.

    Raises:
        OSError: the folder cannot be read.
    """
    scanned = scan(root, selection)
    found: Found = {**scanned.files}
    found |= _vanished(known, found, {""}, scanned.unreadable)
    return {relative: entry for relative, entry in found.items() if relative not in held}


def compare(
    known: Mapping[str, Entry], found: Found, renamed: Mapping[str, str] | None = None
) -> Iterator[Change]:
    """Yield what changed: renames first, then deletions, creations and modifications by path.

    A new path is a rename if the same file (by its number) was known under a path where it is no
    more, unchanged or said to be *renamed* (new path to old) by the operating system. A file that
    took the place of a known one is a modification of that, however it got there.
    """
    known = Snapshot({relative: known[relative] for relative in found if relative in known})
    yield from _renames(known, found, renamed or {})
    paths = sorted(found)
    for relative in paths:
        if found[relative] is None and relative in known:
            yield Change("deleted", relative, known[relative])
    for relative in paths:
        entry = found[relative]
        if entry is not None and relative not in known:
            yield Change("created", relative, entry)
        elif entry is not None and entry != known[relative]:
            yield Change("modified", relative, entry)


def _renames(known: Snapshot, found: Found, renamed: Mapping[str, str]) -> Iterator[Change]:
    new = sorted(
        (path for path, entry in found.items() if entry and path not in known), reverse=True
    )
    while new:
        relative = new.pop()
        entry = found[relative]
        source = entry and _source(known, found, relative, entry, renamed)
        if entry is None or source is None:
            continue
        yield Change("moved", relative, known[source]._replace(inode=entry.inode), source)
        known[relative] = known.pop(source)
        if found[source] is not None:  # another file took the old path: it may be a rename too
            new.append(source)


def _source(
    known: Snapshot, found: Found, relative: str, entry: Entry, renamed: Mapping[str, str]
) -> str | None:
    source = known.path_of(entry.inode)
    if source is None or source not in known:
        return None
    there = found[source]
    if there is not None and there.inode == entry.inode:
        return None  # a second name of a file that is still there
    if known[source] == entry or renamed.get(relative) == source:
        return source
    return None


def _vanished(known: Snapshot, found: Found, folders: set[str], unreadable: set[str]) -> Found:
    return {
        relative: None
        for relative in known
        if relative not in found
        and is_below(relative, folders)
        and not (unreadable and is_below(relative, unreadable))
    }


def _sources(root: Path, known: Snapshot, found: Found) -> Found:
    """Look also where the new files may have come from, and where those there came from, and on.

    The hints of one rename come apart, and so do those of a chain of renames.
    """
    sources: Found = {}
    arrived = [(relative, entry) for relative, entry in found.items() if entry is not None]
    while arrived:
        relative, entry = arrived.pop()
        before = known.get(relative)
        if before is not None and before.inode == entry.inode:
            continue
        source = known.path_of(entry.inode)
        if source is None or source in found or source in sources:
            continue
        there = sources[source] = look_up(root, source)
        if there is not None:
            arrived.append((source, there))
    return sources


def _is_plain(root: Path, relative: str, seen: dict[str, bool]) -> bool:
    """Whether no folder on the way is a link, which could lead out of the watched folder."""
    folder = relative.rpartition("/")[0]
    if folder not in seen:
        seen[folder] = not folder or (
            not (root / folder).is_symlink() and _is_plain(root, folder, seen)
        )
    return seen[folder]
