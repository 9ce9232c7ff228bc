"""What is installed: every plugin's manifest, found through entry points, imported never.

Scanning the metadata of an environment costs more than starting asyncio, so the result is kept
in the cache folder under a key of everything that could change it: the interpreter, the folders
on `sys.path` and the manifests themselves, each with its modification time. This module is on
the path of `loom --help`; it imports nothing that costs.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from typing import Any, TypedDict

GROUP = "loom.plugins"
MANIFEST = "loom-plugin.toml"


class Entry(TypedDict):
    """One installed plugin. *problem* says why it cannot be used, if so."""

    name: str
    module: str
    distribution: str
    version: str
    file: str
    manifest: dict[str, Any]
    problem: str


def installed(cache: str = "") -> dict[str, Entry]:
    """Every installed plugin by name, sorted; from the cache in folder *cache* when it holds."""
    place = zlib.crc32("\n".join([sys.prefix, *sys.path]).encode())
    file = os.path.join(cache, f"plugins-{place:08x}.json")
    known = _read(file) if cache else None
    if known is not None and known["key"] == _key(known["entries"]):
        cached: dict[str, Entry] = known["entries"]
        return cached
    entries = _scan()
    if cache:
        _write(file, {"key": _key(entries), "entries": entries})
    return entries


def _key(entries: dict[str, Entry]) -> list[Any]:
    folders = [[path, _changed(path or ".")] for path in sys.path]
    manifests = [[entry["file"], _changed(entry["file"])] for entry in entries.values()]
    return [sys.version, folders, manifests]


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _read(file: str) -> Any:
    try:
        with open(file, encoding="utf-8") as source:
            found = json.load(source)
        return found if {"key", "entries"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):
        return None  # no cache, or not one of ours: scan again


def _write(file: str, content: dict[str, Any]) -> None:
    draft = f"{file}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        with open(draft, "x", encoding="utf-8", opener=_private) as target:
            json.dump(content, target)
        os.replace(draft, file)
    except OSError:
        return  # a cache that cannot be written is only slow


def _private(file: str, flags: int) -> int:
    """Open for the owner only: the index names modules that will be imported."""
    return os.open(file, flags, 0o600)


def _scan() -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for point in sorted(_points(), key=lambda point: (point.name, point.value)):
        entry = _describe(point)
        first = found.setdefault(point.name, entry)
        if first is not entry and first["module"] != entry["module"]:
            first["problem"] = (
                f"two distributions offer a plugin of this name, {first['distribution']!r} and "
                f"{entry['distribution']!r}; uninstall one"
            )
    return found


def _points() -> list[Any]:
    """The entry points of all distributions; unreadable ones do not hide the others."""
    from importlib.metadata import distributions

    found: list[Any] = []
    for distribution in distributions():
        try:
            found += distribution.entry_points.select(group=GROUP)
        except (OSError, TypeError, ValueError) as error:
            import logging

            name = " ".join(_identify(distribution)) or "a distribution without a name"
            logging.getLogger("loom.plugins").warning("%s: entry_points.txt: %s", name, error)
    return found


def _identify(distribution: Any) -> tuple[str, str]:
    try:
        return str(distribution.name or ""), str(distribution.version or "")
    except (OSError, LookupError, TypeError, ValueError):
        return "", ""  # its METADATA is missing or not text


def _describe(point: Any) -> Entry:
    distribution, version = _identify(point.dist)
    entry: Entry = {
        "name": point.name,
        "module": point.value,
        "distribution": distribution,
        "version": version,
        "file": "",
        "manifest": {},
        "problem": "",
    }
    try:
        entry["file"] = _find_manifest(point.value.partition(".")[0])
        entry["manifest"] = _parse(entry["file"])
    except (OSError, ValueError, ImportError, RecursionError) as error:
        entry["problem"] = f"{MANIFEST}: {error}"
    return entry


def _find_manifest(package: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"package {package!r} is not there")
    return os.path.join(next(iter(spec.submodule_search_locations)), MANIFEST)


def _parse(file: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(file, "rb") as source:
            return tomllib.load(source)
    except FileNotFoundError:
        raise ImportError(
            f"package {os.path.basename(os.path.dirname(file))!r} holds none"
        ) from None
