"""The index as a file: a line that says what it is of, then its bytes. It is derived data.

A file that is of another state of the source, or not whole, counts as if it were not there.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
from loom_kernel import private_dir

FORMAT = 1
NAME = "vectors.faiss"


class Origin(msgspec.Struct, frozen=True):
    """What an index was made of, and how."""

    source: str
    generation: int
    made: str
    """The options, the dimension, and the version of FAISS."""


class Head(msgspec.Struct, frozen=True):
    """The first line."""

    format: int
    origin: Origin
    index: int
    """Bytes of the index itself; the ids follow."""
    sha256: str


def read_file(folder: Path, origin: Origin) -> tuple[bytes, bytes] | None:
    """The index of *origin* and its ids; None if the file holds something else."""
    try:
        with (folder / NAME).open("rb") as file:
            head = msgspec.json.decode(file.readline(4096), type=Head)
            body = file.read()
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    if (head.format, head.origin) != (FORMAT, origin):
        return None
    if hashlib.sha256(body).hexdigest() != head.sha256:
        return None
    return body[: head.index], body[head.index :]


def write_file(folder: Path, origin: Origin, index: bytes, ids: bytes) -> None:
    """Put the index in the place of what was there, whole or not at all.

    Raises:
        OSError: it was not written; what was there before is.
    """
    private_dir(folder)
    digest = hashlib.sha256(index)
    digest.update(ids)
    head = Head(FORMAT, origin, len(index), digest.hexdigest())
    draft = folder / f".{NAME}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(head) + b"\n")
        file.write(index)
        file.write(ids)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / NAME)
