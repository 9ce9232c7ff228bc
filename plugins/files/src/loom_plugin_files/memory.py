"""What a watch knew when Loom stopped, so that changes made meanwhile are found."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from loom_plugin_files.snapshot import Entry, Snapshot

_VERSION = 1


class _Record(msgspec.Struct, frozen=True):
    version: int
    scope: str
    files: dict[str, Entry]


class Memory:
    """One file. *scope* says what is watched: what was known of something else is of no use."""

    def __init__(self, file: Path, scope: str) -> None:
        self._file = file
        self._scope = scope
        self._saving = threading.Lock()

    def load(self) -> Snapshot | None:
        """Return what was known, or None if nothing of this scope is. Blocks.

        Raises:
            msgspec.DecodeError: the file is damaged.
        """
        try:
            record = msgspec.json.decode(self._file.read_bytes(), type=_Record)
        except FileNotFoundError:
            return None
        if (record.version, record.scope) != (_VERSION, self._scope):
            return None
        return Snapshot({_name(key): entry for key, entry in record.files.items()})

    def save(self, known: dict[str, Entry]) -> None:
        """Keep *known*, at once and for its owner only. Blocks."""
        files = {_key(name): entry for name, entry in known.items()}
        record = _Record(_VERSION, self._scope, files)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._saving:
            self._replace(msgspec.json.encode(record))

    def _replace(self, content: bytes) -> None:
        draft = self._file.with_suffix(".tmp")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)


def _key(name: str) -> str:
    # A file's name is bytes, not always Unicode; JSON only takes text.
    return os.fsencode(name).decode("latin-1")


def _name(key: str) -> str:
    return os.fsdecode(key.encode("latin-1"))
