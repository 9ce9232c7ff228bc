"""An app into which tools are installed, and what lies in it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner
from loom_kernel import LoomError
from loom_plugin_tools.commands import ALL

CONFIG = '# my app\nname = "app" # here\n\n[workspace]\nroot = "."\n'
TOOLS = next(command for command in ALL if command.name == "tools")
Tree = dict[str, tuple[int, bytes | str]]


class Said(NamedTuple):
    """What a command did."""

    code: int
    text: str


class Site:
    """A folder with an app and archives beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "app"
        self.app.mkdir(parents=True)
        (self.app / "loom.toml").write_text(CONFIG, "utf-8")

    def tools(self, *words: str | Path, input: str = "") -> Said:
        """What `loom tools WORDS` says in the app."""
        arguments = ["--project", str(self.app), *map(str, words)]
        done = CliRunner().invoke(TOOLS, arguments, input=input)
        if isinstance(done.exception, LoomError):  # the kernel's command line prints these
            return Said(1, f"{done.output}{done.exception}")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.output)

    def put(self, content: bytes, name: str = "words-1.0.zip") -> Path:
        """An archive with that *content*."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def install(self, content: bytes, *words: str, input: str = "") -> Said:
        return self.tools("install", self.put(content), *words, input=input)

    @property
    def config(self) -> str:
        return (self.app / "loom.toml").read_text("utf-8")

    def tree(self, folder: Path | None = None) -> Tree:
        """Everything in the app (or in *folder*), with modes and contents."""
        return tree(folder or self.app)


def tree(folder: Path) -> Tree:
    """Everything in *folder*; but for the guard of tools.lock, which is empty and stays."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".tools.lock.guard":
            continue
        facts = path.lstat()
        content: Any = ""
        if stat.S_ISREG(facts.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(facts.st_mode):
            content = str(path.readlink())
        found[str(path.relative_to(folder))] = facts.st_mode, content
    return found
