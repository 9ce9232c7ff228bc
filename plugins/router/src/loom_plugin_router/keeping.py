"""The router's state folder: what was learned, and the decisions; no restart forgets them.

`learned.json` is written anew, whole or not at all; `decisions.jsonl` is appended to, the last
line of a decision counts, and it is written anew when half of it is of no use any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from loom.contracts import RouteDecision
from loom_kernel import Host, private_dir

from loom_plugin_router.bandit import Bandit, is_sound
from loom_plugin_router.figures import Figures

VERSION = 1


class Learned(msgspec.Struct):
    """All that was learned."""

    version: int = VERSION
    figures: Figures = msgspec.field(default_factory=Figures)
    bandit: Bandit = msgspec.field(default_factory=Bandit)


class Keeping:
    """Reads and writes both files. Its methods may block."""

    def __init__(self, host: Host) -> None:
        self._log = host.log
        folder = private_dir(host.paths.state)
        self._learned = folder / "learned.json"
        self._decisions = folder / "decisions.jsonl"
        self._lines = 0
        self._is_torn = False

    def learned(self) -> Learned:
        """What was learned; nothing if that cannot be read, which is logged."""
        try:
            found = msgspec.json.decode(self._learned.read_bytes(), type=Learned)
        except FileNotFoundError:
            return Learned()
        except (OSError, msgspec.DecodeError) as error:
            self._set_aside(str(error))
            return Learned()
        if found.version != VERSION or not is_sound(found.bandit):
            self._set_aside(f"it is of version {found.version}, or of another size")
            return Learned()
        return found

    def keep_learned(self, learned: bytes) -> None:
        """Write what was learned: JSON of `Learned`."""
        _write(self._learned, [learned])

    def decisions(self, most: int) -> list[RouteDecision]:
        """The last *most* decisions, oldest first; a torn line is skipped."""
        try:
            text = self._decisions.read_bytes()
        except FileNotFoundError:
            return []
        self._is_torn = not text.endswith(b"\n")
        lines = text.splitlines()
        self._lines = len(lines)
        found: dict[str, RouteDecision] = {}
        for line in filter(None, lines):
            try:
                decision = msgspec.json.decode(line, type=RouteDecision)
            except msgspec.DecodeError as error:
                self._log.warning("a line of %s is skipped: %s", self._decisions.name, error)
                continue
            found[decision.id] = decision
        return list(found.values())[-most:]

    def add(self, lines: Iterable[bytes]) -> None:
        """Append *lines* of decisions."""
        text = [line + b"\n" for line in lines]
        if self._is_torn:
            text.insert(0, b"\n")
            self._is_torn = False
        descriptor = os.open(self._decisions, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.writelines(text)
        self._lines += len(text)

    def is_long(self, most: int) -> bool:
        """Whether the file has far more lines than the *most* that are kept."""
        return self._lines > 4 * most + 100

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Keep *lines* and no others."""
        text = [line + b"\n" for line in lines]
        _write(self._decisions, text)
        self._lines = len(text)

    def _set_aside(self, why: str) -> None:
        aside = self._learned.with_suffix(".unreadable")
        self._learned.replace(aside)
        self._log.warning(
            "what the router had learned cannot be read (%s); it begins anew, see %s", why, aside
        )


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Write *path* whole or not at all."""
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
