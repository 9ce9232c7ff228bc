"""Small private files that are whole or not there: rules, and approvals that wait."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from loom_kernel import LoomError, private_dir

T = TypeVar("T")


def read_file(path: Path, kind: type[T]) -> T | None:
    """What the file holds; None if there is none.

    Raises:
        LoomError: it is not of that kind: somebody else wrote there, or the disk is broken.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LoomError(f"{path} cannot be read ({error}); restore it, or remove it") from error


def write_file(path: Path, value: Any) -> None:
    """Put *value* there, whole, for the owner only; it is on the disk when this returns.

    Raises:
        LoomError: it cannot be written; what was there is still there.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        private_dir(path.parent)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(value))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise LoomError(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Let names that were changed in *folder* survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
