"""The records on disk: one small JSON file a timer, replaced as a whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from loom_plugin_timers.ledger import Record


class Store:
    """Reads and writes records in *folder*, which nobody else writes to."""

    def __init__(self, folder: Path, log: logging.Logger) -> None:
        self._folder = folder
        self._log = log
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self) -> dict[str, Record]:
        """Every readable record by timer name; a damaged one is set aside and logged."""
        records = {}
        for file in sorted(self._folder.glob("*.json")):
            try:
                records[file.stem] = msgspec.json.decode(file.read_bytes(), type=Record)
            except msgspec.DecodeError as error:
                aside = file.replace(file.with_suffix(".damaged"))
                self._log.error("timer record %s is damaged (%s), kept as %s", file, error, aside)
        return records

    def save(self, name: str, record: Record, *, durable: bool) -> None:
        """Replace the record of *name*; *durable* waits until it would survive a power cut.

        Without *durable* it survives the end of the process, which costs no disk flush.
        """
        target = self._folder / f"{name}.json"
        draft = target.with_suffix(".new")
        with open(draft, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(record))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(target)
        if durable:
            self._flush_folder()

    def delete(self, name: str) -> None:
        (self._folder / f"{name}.json").unlink(missing_ok=True)
        self._flush_folder()

    def _flush_folder(self) -> None:
        if os.name == "posix":  # elsewhere a folder cannot be opened, and a rename is flushed
            handle = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
