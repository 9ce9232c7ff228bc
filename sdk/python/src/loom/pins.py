"""`tools.lock`: what was looked at and accepted once, and must not change unnoticed.

One JSON file beside `loom.toml` (else in the state folder), made to be committed with the app:
by kind (`mcp`, `wasm`, `process`, `archive`) and name, whatever record the plugin of that kind
compares.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec
from loom_kernel import LoomError, Paths, private_dir

from loom.contracts import canonical

__all__ = ["Pins", "fingerprint"]

FILE = "tools.lock"


def fingerprint(value: Any) -> str:
    """SHA-256, in hex, of *value*: of bytes as they are, of anything else in canonical JSON."""
    return sha256(value if isinstance(value, bytes) else canonical(value)).hexdigest()


class Pins:
    """The records of one *kind*. Any process may change the file; each reading is a fresh one."""

    def __init__(self, paths: Paths, kind: str) -> None:
        self.path = (paths.project or paths.state) / FILE
        self._kind = kind
        # Always that name, and only under the guard: what a killed process left is written over.
        self._draft = self.path.with_name(f".{FILE}.draft")

    def get(self, name: str) -> dict[str, Any] | None:
        """What was accepted under *name*; None if nothing was.

        Raises:
            LoomError: the file cannot be read.
        """
        found: dict[str, Any] | None = self._read().get(self._kind, {}).get(name)
        return found

    def names(self) -> list[str]:
        """All names of this kind, sorted."""
        return sorted(self._read().get(self._kind, {}))

    def put(self, name: str, record: Mapping[str, Any] | None) -> None:
        """Accept *record* under *name*; None forgets it. It is on disk when this returns."""
        if not self.path.parent.is_dir():
            private_dir(self.path.parent)
        with self.path.with_name(f".{FILE}.guard").open("w", encoding="ascii") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            known = self._read()
            records = known.setdefault(self._kind, {})
            wanted = None if record is None else dict(record)
            if records.pop(name, None) == wanted:
                self._draft.unlink(missing_ok=True)
                return
            if wanted is not None:
                records[name] = wanted
            self._write({kind: records for kind, records in known.items() if records})

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, dict[str, Any]])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LoomError(f"{self.path} cannot be read ({error}); restore or remove it") from None

    def _write(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        if not known:
            self.path.unlink(missing_ok=True)
            return
        text = msgspec.json.format(msgspec.json.encode(known, order="sorted"), indent=2)
        try:
            with self._draft.open("wb") as file:
                file.write(text + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._draft.replace(self.path)
        finally:
            self._draft.unlink(missing_ok=True)
