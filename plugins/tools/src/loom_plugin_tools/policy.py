"""May this call run? What was granted, what the owner ruled, and what the causes are labelled.

Three answers: allow, ask a person, deny. In this order, the first that applies:

1. the owner called a halt → deny
2. a rule says deny → deny; a rule says ask → ask
3. what is local-only would leave this machine → deny
4. strangers' words led to a call that executes, sends or holds a secret → ask
5. a rule says allow, or all that the tool needs was granted → allow
6. else → ask

Nothing here looks at what the caller says of itself: the principal is stamped by the bus, labels
grow along the chain of causes, and what a tool needs is its provider's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from loom.contracts import ToolDescriptor

from loom_plugin_tools.rules import Rules

Answer = Literal["allow", "ask", "deny"]

UNTRUSTED, PRIVATE, LOCAL_ONLY = "untrusted", "private", "local-only"
SINKS = frozenset({"exec", "net", "secret"})
"""Permissions by which words of strangers could do harm."""
EGRESS = "net"


class Verdict(msgspec.Struct, frozen=True):
    """The answer, and why: in words for whoever is refused or asked."""

    answer: Answer
    why: tuple[str, ...] = ()


ALLOW = Verdict("allow")


class Policy:
    """Judges calls. *grants* says what each principal (a pattern) may do without being asked.

    An entry is a permission (`fs.write`) or a pattern of tool names (`fs:*`). Whoever is named
    `a/b` has at most what `a` has.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        grants: Mapping[str, Iterable[str]],
        default: Iterable[str],
        despite_untrusted: Iterable[str],
    ) -> None:
        self.rules = rules
        self.halted_by = ""
        """Who called a halt; empty = nobody."""
        self._grants = {principal: tuple(entries) for principal, entries in grants.items()}
        self._default = tuple(default)
        self._despite = tuple(despite_untrusted)
        self._known: dict[tuple[str, str, tuple[str, ...]], tuple[str, ...]] = {}

    def judge(self, tool: ToolDescriptor, principal: str, labels: frozenset[str]) -> Verdict:
        """What becomes of a call of *tool* by *principal*, caused by what carries *labels*."""
        if self.halted_by:
            return Verdict("deny", (f"{self.halted_by} called a halt; go on with `loom resume`",))
        allowing: tuple[str, ...] = ()
        if self.rules.is_any:
            effects = self.rules.effects(tool.name, principal)
            for answer in ("deny", "ask"):
                if why := effects.get(answer):
                    return Verdict(answer, why)
            allowing = effects.get("allow", ())
        if not tool.permissions:
            return ALLOW
        if labels and (verdict := self._by_labels(tool, labels)) is not None:
            return verdict
        missing = () if allowing else self._missing(tool, principal)
        return Verdict("ask", missing) if missing else ALLOW

    def _by_labels(self, tool: ToolDescriptor, labels: frozenset[str]) -> Verdict | None:
        if EGRESS in tool.permissions:
            if LOCAL_ONLY in labels:
                return Verdict("deny", ("what is local-only must not leave this machine",))
            if PRIVATE in labels:
                return Verdict("ask", ("private data led to this, and it would leave the machine",))
        sinks = SINKS.intersection(tool.permissions)
        if UNTRUSTED in labels and sinks and not _is_like(tool.name, self._despite):
            needs = ", ".join(sorted(sinks))
            return Verdict("ask", (f"words of strangers led to this, and it needs {needs}",))
        return None

    def _missing(self, tool: ToolDescriptor, principal: str) -> tuple[str, ...]:
        """Which permissions were not granted, in words."""
        key = (principal, tool.name, tool.permissions)
        known = self._known.get(key)
        if known is None:
            if len(self._known) > 4096:
                self._known.clear()
            known = self._known[key] = tuple(
                f"{needed} was not granted to {who}"
                for who in _line_of(principal)
                for needed in tool.permissions
                if not self._has(who, tool.name, needed)
            )
        return known

    def _has(self, principal: str, tool: str, permission: str) -> bool:
        granted = [*self._default]
        for pattern, entries in self._grants.items():
            if fnmatchcase(principal, pattern):
                granted += entries
        return permission in granted or _is_like(tool, granted)


def _line_of(principal: str) -> tuple[str, ...]:
    """`a/b/c` → `a`, `a/b`, `a/b/c`."""
    parts = principal.split("/")
    return tuple("/".join(parts[: end + 1]) for end in range(len(parts)))


def _is_like(tool: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(tool, pattern) for pattern in patterns)
