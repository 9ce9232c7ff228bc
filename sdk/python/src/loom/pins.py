"""`tools.lock`: what was looked at and accepted once, and must not change unnoticed.

One JSON file beside `loom.toml` (else in the state folder), made to be committed with the app:
by kind (`mcp`, `wasm`, `process`) and name, whatever record the plugin of that kind compares.
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
            records.pop(name, None)
            if record is not None:
                records[name] = dict(record)
            text = msgspec.json.format(msgspec.json.encode(known, order="sorted"), indent=2)
            self._write(text + b"\n")

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, dict[str, Any]])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LoomError(f"{self.path} cannot be read ({error}); restore or remove it") from None

    def _write(self, text: bytes) -> None:
        draft = self.path.with_name(f".{FILE}.{os.getpid()}")
        with draft.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
