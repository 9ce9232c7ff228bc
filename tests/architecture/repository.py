"""The repository as the architecture tests see it: its files, and its Python as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from workspace import ROOT

NOT_OURS = {".git", ".venv", "build", "dist", "site", "node_modules", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: str  # relative to the root, with forward slashes
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def is_shipped(self) -> bool:
        """Whether it is part of a distribution rather than of its tests or of the tooling."""
        return "/src/" in self.path


def dotted(node: ast.expr) -> str:
    """Return the dotted name *node* spells; a call inside it appears as `()`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}"
        case ast.Call(func=function):
            return f"{dotted(function)}()"
        case _:
            return ""


def imported(tree: ast.AST) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
    """Yield every import in *tree*: the node, the module, and the names taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, ()
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module, tuple(alias.name for alias in node.names)


@cache
def repository_files() -> tuple[Path, ...]:
    """Return every file that is tracked or would be."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        found = {ROOT / name for name in listed.stdout.decode().split("\0") if name}
    else:  # an unpacked archive
        found = {path for path in ROOT.rglob("*") if not NOT_OURS & set(path.parts)}
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def python_sources() -> tuple[Source, ...]:
    """Return every Python file but the templates, which are Python only when filled in."""
    names = [path.relative_to(ROOT).as_posix() for path in repository_files()]
    return tuple(
        Source(name, (ROOT / name).read_text(encoding="utf-8"))
        for name in names
        if name.endswith(".py") and "{{" not in name and "/templates/" not in name
    )
