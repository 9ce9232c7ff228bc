"""The file of a run: one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from loom.contracts import RUN_FORMAT, Handling, RunHeader
from loom.replay.errors import RunUnreadable

Run = tuple[RunHeader, list[Handling]]
_HEADER = msgspec.json.Decoder(RunHeader)
_HANDLING = msgspec.json.Decoder(Handling)


def write_run(path: Path, header: RunHeader, handlings: Iterable[Handling]) -> int:
    """Write a run to *path*, readable by its owner only; how many handlings it has.

    The file is there when it is complete, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with open(draft, "xb", opener=_private) as file:
            file.write(msgspec.json.encode(header) + b"\n")
            for count, handling in enumerate(handlings, 1):  # noqa: B007  # it is the result
                file.write(msgspec.json.encode(handling) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def read_run(path: Path) -> Run:
    """The run in *path*.

    Raises:
        RunUnreadable: it is none, or one of a newer Loom; the text says which line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RunUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if not lines:
        raise RunUnreadable(f"{path} is empty; `loom record` writes such files")
    header = _line(path, 1, lines[0], _HEADER)
    if header.format != RUN_FORMAT:
        known = f"this Loom reads format {RUN_FORMAT}"
        raise RunUnreadable(f"{path} has format {header.format}; {known}")
    return header, [_line(path, n, line, _HANDLING) for n, line in enumerate(lines[1:], 2)]


def _line(path: Path, number: int, line: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunUnreadable(f"{path}:{number} is not part of a recorded run: {error}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
