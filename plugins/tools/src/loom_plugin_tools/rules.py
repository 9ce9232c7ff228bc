"""Standing rules: what the owner said once, outside of any conversation, and holds until revoked.

No summary, no restart and no clever text can make them be forgotten: they are records in a file
of the state folder, and every call is held against them.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec
from loom_kernel import LoomError

from loom_plugin_tools.storage import read_file, write_file

Effect = Literal["allow", "ask", "deny"]
MOST = 1000
"""Rules there may be."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of the owner: *effect* for calls of *tool* by *principal* (both patterns)."""

    id: str
    effect: Effect
    tool: str
    principal: str = "*"
    owner: str = ""
    """Who made it."""
    reason: str = ""
    created: float = 0.0
    """UNIX seconds."""
    expires: float = 0.0
    """UNIX seconds; 0 = never."""

    def covers(self, tool: str, principal: str, now: float) -> bool:
        """Whether it speaks of such a call, now."""
        if self.expires and self.expires <= now:
            return False
        return fnmatchcase(tool, self.tool) and fnmatchcase(principal, self.principal)

    def __str__(self) -> str:
        verb = {"allow": "allows", "ask": "wants to be asked about", "deny": "forbids"}[self.effect]
        reason = f" ({self.reason})" if self.reason else ""
        return f"rule {self.id} of {self.owner} {verb} {self.tool} by {self.principal}{reason}"


class Rules:
    """The rules in force, in one file; on disk when a change returns."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._rules: dict[str, Rule] = {rule.id: rule for rule in read_file(path, list[Rule]) or ()}

    @property
    def is_any(self) -> bool:
        return bool(self._rules)

    def list(self) -> list[Rule]:
        """Those that have not expired, the oldest first."""
        now = self._now()
        return [rule for rule in self._rules.values() if not rule.expires or rule.expires > now]

    def add(self, rule: Rule) -> None:
        """Take *rule* in.

        Raises:
            LoomError: there are too many.
        """
        kept = {known.id: known for known in self.list()}
        if len(kept) >= MOST:
            raise LoomError(f"there are {MOST} rules already; remove some with `loom rules remove`")
        self._save({**kept, rule.id: rule})

    def remove(self, id: str) -> Rule:
        """Take rule *id* out.

        Raises:
            LoomError: there is none.
        """
        if id not in self._rules:
            known = ", ".join(self._rules) or "none"
            raise LoomError(f"there is no rule {id!r}; there are: {known}")
        rule = self._rules[id]
        self._save({name: known for name, known in self._rules.items() if name != id})
        return rule

    def effects(self, tool: str, principal: str) -> dict[str, tuple[str, ...]]:
        """What the rules say of such a call: by effect, the rules in words."""
        now = self._now()
        found: dict[str, tuple[str, ...]] = {}
        for rule in self._rules.values():
            if rule.covers(tool, principal, now):
                found[rule.effect] = (*found.get(rule.effect, ()), str(rule))
        return found

    def _save(self, rules: dict[str, Rule]) -> None:
        write_file(self._path, list(rules.values()))
        self._rules = rules
