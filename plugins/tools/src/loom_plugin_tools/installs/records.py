"""What tools.lock says of tools that came in archives."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from loom.archives import TOOL_NAME, Archive
from loom.pins import Pins
from loom_kernel import LoomError, Paths

KIND = "archive"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One archive that is installed."""

    version: str
    kind: Literal["wasm", "process"]
    sha256: str
    files: dict[str, str]
    """SHA-256 in hex, by path."""
    executable: tuple[str, ...]
    table: dict[str, Any]
    """What it asked for, as it would stand in loom.toml."""


def record_of(archive: Archive, table: dict[str, Any]) -> dict[str, Any]:
    """What tools.lock keeps of *archive*."""
    files = archive.files
    record = Record(
        version=archive.manifest.version,
        kind=archive.manifest.kind,
        sha256=archive.digest,
        files={path: content.digest for path, content in files.items()},
        executable=tuple(sorted(path for path in files if files[path].is_executable)),
        table=table,
    )
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def read_record(paths: Paths, name: str) -> Record | None:
    """What is known of the archive that brought *name*. Blocks.

    Raises:
        LoomError: that is no name, or the record was spoilt.
    """
    check_tool_name(name)
    raw = Pins(paths, KIND).get(name)
    try:
        return None if raw is None else msgspec.convert(raw, Record)
    except msgspec.ValidationError as error:
        raise LoomError(
            f"tools.lock has a wrong record of the archive {name!r} ({error}); restore the file, "
            "or remove that record from it"
        ) from None


def names(paths: Paths) -> list[str]:
    """The tools that archives brought. Blocks."""
    return Pins(paths, KIND).names()


def check_tool_name(name: str) -> None:
    """Accept *name* as a tool's, and so as the name of its folder.

    Raises:
        LoomError: it is none.
    """
    if not TOOL_NAME.fullmatch(name):
        raise LoomError(f"{name!r} names no tool; names are a-z, 0-9, - and _, at most 40")
