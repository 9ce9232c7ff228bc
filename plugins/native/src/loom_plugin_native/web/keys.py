"""Keys by reference: the settings name one, and it is looked up when it is needed, not before."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from loom_kernel import ConfigError, LoomError

_REFERENCE = re.compile(r"(secret|env):([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})")
FOLDER = "secrets"


class KeyMissing(LoomError):
    """There is no usable key; the text says where one is looked for, and never shows one."""


class KeyReference:
    """`env:NAME` is a variable; `secret:name` is `<NAME>_API_KEY` or the file `secrets/name`.

    Raises:
        ConfigError: the reference is none: perhaps a key, so it is not repeated.
    """

    def __init__(self, setting: str, reference: str, state: Path) -> None:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise ConfigError(
                f"[plugins.native] {setting} must be a reference such as 'secret:brave' or "
                "'env:BRAVE_API_KEY', never a key"
            )
        kind, self._name = found.groups()
        self._variable = self._name if kind == "env" else f"{self._name.upper()}_API_KEY"
        self._file = state / FOLDER / self._name if kind == "secret" else None

    def look_up(self, environment: Mapping[str, str] = os.environ) -> str:
        """The key. Blocks on the disk.

        Raises:
            KeyMissing: there is none, or it cannot be one.
        """
        key = environment.get(self._variable, "") or self._read()
        if not key:
            where = f", or write it to {self._file} (mode 0600)" if self._file else ""
            raise KeyMissing(f"there is no key: set {self._variable}{where}")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise KeyMissing(f"what {self._variable} or the file holds is no key")
        return key

    def _read(self) -> str:
        if self._file is None or not self._file.is_file():
            return ""
        status = self._file.stat()
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid():
            raise KeyMissing(f"others may read {self._file}; run: chmod 600 {self._file}")
        return self._file.read_text("utf-8", "replace").strip()
