"""The distributions of this repository, as their own pyproject.toml files describe them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def requirement_name(requirement: str) -> str:
    """Return the normalised distribution name a requirement begins with."""
    found = NAME.match(requirement)
    if found is None:
        raise ValueError(f"{requirement!r} does not begin with the name of a distribution")
    return re.sub(r"[-_.]+", "-", found.group()).lower()


@dataclass(frozen=True, slots=True)
class Distribution:
    """One member of the workspace."""

    name: str
    folder: Path
    project: dict[str, Any]

    @property
    def module(self) -> str:
        """The one package it installs."""
        backend = self.project.get("tool", {}).get("uv", {}).get("build-backend", {})
        return str(backend.get("module-name", self.name.replace("-", "_")))

    @property
    def requirements(self) -> list[str]:
        """What it needs at run time, its extras included."""
        table = self.project["project"]
        groups = [table.get("dependencies", []), *table.get("optional-dependencies", {}).values()]
        return [requirement for group in groups for requirement in group]

    @property
    def test_requirements(self) -> list[str]:
        """What its tests need besides."""
        return list(self.project.get("dependency-groups", {}).get("test", []))


def read_project(folder: Path) -> dict[str, Any]:
    """Return the parsed pyproject.toml of *folder*."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def distributions() -> dict[str, Distribution]:
    """Return every member of the workspace by name, sorted."""
    members = read_project(ROOT)["tool"]["uv"]["workspace"]["members"]
    folders = (folder for pattern in members for folder in ROOT.glob(pattern))
    found = ((folder, read_project(folder)) for folder in folders if folder.is_dir())
    by_name = {project["project"]["name"]: (folder, project) for folder, project in found}
    return {name: Distribution(name, *by_name[name]) for name in sorted(by_name)}


def closure(names: set[str], members: dict[str, Distribution]) -> set[str]:
    """Return *names* and every member that they need, directly or not, at run time."""
    known: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        known.add(name)
        needs = {requirement_name(one) for one in members[name].requirements}
        waiting |= (needs & members.keys()) - known
    return known
