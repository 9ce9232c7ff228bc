"""What the owner accepted of a server: its exact command, and each of its tools.

The record in `tools.lock` under the kind `mcp`:

    {"launch": {…}, "command": fingerprint, "tools": {name: {fingerprint, description, parameters}}}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from loom.pins import Pins, fingerprint

from loom_plugin_mcp.definitions import Definition
from loom_plugin_mcp.launch import Launch

KIND = "mcp"


class Verdict(msgspec.Struct, frozen=True):
    """Which of a server's tools are those that were accepted."""

    accepted: tuple[Definition, ...]
    withheld: dict[str, str]
    """Name → why it is not announced."""


class Inspection(msgspec.Struct, frozen=True):
    """What a server is and brings, as it was looked at once."""

    launch: Launch
    definitions: tuple[Definition, ...]

    @property
    def digest(self) -> str:
        """What a decision has to repeat."""
        return fingerprint([self.launch.fingerprint(), *self._tools().values()])

    def _tools(self) -> dict[str, str]:
        return {one.name: one.fingerprint for one in self.definitions}

    def record(self) -> dict[str, Any]:
        """What is pinned if it is accepted."""
        return {
            "launch": self.launch.record(),
            "command": self.launch.fingerprint(),
            "tools": {one.name: one.record() for one in self.definitions if not one.problem},
        }


class Trust:
    """The pins of all servers."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    def find(self, name: str) -> dict[str, Any]:
        """What was accepted of server *name*; empty if nothing was."""
        return self._pins.get(name) or {}

    def accept(self, name: str, inspection: Inspection) -> None:
        """Pin what *inspection* found."""
        self._pins.put(name, inspection.record())

    def forget(self, name: str) -> bool:
        """Accept nothing of *name* any more; whether anything was."""
        known = self._pins.get(name) is not None
        if known:
            self._pins.put(name, None)
        return known

    def distrust(self, name: str, launch: Launch) -> str:
        """Why *launch* may not be started; empty if it may."""
        record = self.find(name)
        if not record:
            return f"its command was never accepted: loom mcp trust {name}"
        if record.get("command") != launch.fingerprint():
            return f"its command is not the one that was accepted: loom mcp trust {name}"
        return ""

    def judge(self, name: str, definitions: Iterable[Definition]) -> Verdict:
        """Which of *definitions* are the accepted ones."""
        pinned = self.find(name).get("tools", {})
        accepted: list[Definition] = []
        withheld: dict[str, str] = {}
        for one in definitions:
            known = pinned.get(one.name)
            if one.problem:
                withheld[one.name] = one.problem
            elif known is None:
                withheld[one.name] = f"it is new: loom mcp trust {name}"
            elif known.get("fingerprint") != one.fingerprint:
                withheld[one.name] = f"it has changed: loom mcp trust {name}"
            else:
                accepted.append(one)
        return Verdict(tuple(accepted), withheld)


def differences(record: dict[str, Any], inspection: Inspection) -> list[str]:
    """What is other in *inspection* than in what was accepted, one line each."""
    if not record:
        return []
    found = [f"command: {line}" for line in inspection.launch.differences(record["launch"])]
    old = record["tools"]
    new = {one.name: one for one in inspection.definitions if not one.problem}
    found += [f"- tool {name}: it is gone" for name in sorted(old.keys() - new.keys())]
    for name, one in sorted(new.items()):
        if name not in old:
            found.append(f"+ tool {name}: it is new")
        elif old[name]["fingerprint"] != one.fingerprint:
            found.append(f"~ tool {name}: {', '.join(_changes(old[name], one))}")
    return found


def _changes(old: dict[str, Any], new: Definition) -> list[str]:
    changes: list[str] = []
    if old["description"] != new.description:
        changes.append(f"its description was {old['description']!r}, is {new.description!r}")
    if old["parameters"] != new.parameters:
        before, after = (set(p.get("properties", {})) for p in (old["parameters"], new.parameters))
        changes += [f"argument {name!r} is new" for name in sorted(after - before)]
        changes += [f"argument {name!r} is gone" for name in sorted(before - after)]
        changes += ["its schema has changed"] if before == after else []
    return changes or ["what it says of itself has changed"]
