"""Unrelated projects hold some of our names on the public index: nothing here may fetch them.

And nothing here may depend on the machine it was written on.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.repository import repository_files
from workspace import ROOT, distributions, requirement_name

OURS = re.compile(r"loom[-_](kernel|sdk|proto|plugin[-_])", re.IGNORECASE)
FETCH = re.compile(
    r"\b(pip3?|pipx|uvx?|poetry|conda|mamba|pdm|hatch|easy_install)\b[^\n|;&]*?"
    r"\b(install|add|run|download|wheel|tool|inject|upgrade|loom[-_])"
)
TEXTS = {".md", ".txt", ".sh", ".py", ".toml", ".yml", ".yaml", ".json", ".cfg", ".ini", ".in", ""}
LARGEST = 1_000_000  # bytes; nothing larger is prose or a script


def texts() -> Iterator[tuple[str, str]]:
    """Every readable file: its path from the root and its text."""
    for path in repository_files():
        if path.is_symlink() or path.suffix not in TEXTS or path.stat().st_size > LARGEST:
            continue
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def fetched(line: str) -> list[str]:
    """Name what the commands in *line* would ask an index for although it bears our name."""
    command = FETCH.search(line)
    if command is None or "--no-index" in line:
        return []
    arguments = re.split(r"[\s`'\",()\[\]]+", line[command.start() :])
    return [one for one in arguments if OURS.match(one) and not one.endswith((".whl", ".tar.gz"))]


def commands() -> Iterator[tuple[str, str]]:
    for path, text in texts():
        if path.endswith(".py") and not path.startswith("scripts/"):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            yield path, line


def test_no_command_can_fetch_a_stranger() -> None:
    found = [f"{path}: {line.strip()}" for path, line in commands() if fetched(line)]
    assert not found, "install by path instead, as in `pip install ./kernel`:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "pip install loom-kernel",
        "    $ python -m pip install -U loom-sdk",
        "uv pip install 'loom-plugin-files>=0.1'",
        "uv add loom_sdk",
        "pipx install loom-kernel",
        "uvx --from loom-kernel loom up",
    ],
)
def test_a_stranger_is_seen(line: str) -> None:
    assert fetched(line)


@pytest.mark.parametrize(
    "line",
    [
        "pip install ./kernel ./plugins/timers",
        "pip install dist/loom_kernel-0.1.0-py3-none-any.whl",
        "pip install --no-index --find-links dist loom-kernel",
        "uv run --package x pytest",
        "`loom-kernel` is the name of the kernel's distribution",
    ],
)
def test_a_path_is_no_stranger(line: str) -> None:
    assert not fetched(line)


def requirements(project: dict[str, Any]) -> list[str]:
    table = project.get("project", {})
    lists = [
        table.get("dependencies", []),
        *table.get("optional-dependencies", {}).values(),
        *project.get("dependency-groups", {}).values(),
        project.get("build-system", {}).get("requires", []),
    ]
    return [one for entries in lists for one in entries if isinstance(one, str)]


def projects() -> list[Path]:
    return [path for path in repository_files() if path.name == "pyproject.toml"]


def test_every_internal_requirement_has_an_upper_bound() -> None:
    loose = [
        f"{path.relative_to(ROOT)}: {one}"
        for path in projects()
        if "{{" not in (text := path.read_text(encoding="utf-8"))
        for one in requirements(tomllib.loads(text))
        if OURS.match(one) and not re.search(r"<\s*1(\.0)*\s*($|[,;])", one)
    ]
    assert not loose, "\n".join(loose)


def test_every_internal_requirement_is_a_member() -> None:
    members = distributions()
    unknown = [
        f"{member.name}: {one}"
        for member in members.values()
        for one in requirements(member.project)
        if OURS.match(one) and requirement_name(one) not in members
    ]
    assert not unknown, "\n".join(unknown)


def test_members_share_one_version_and_licence() -> None:
    described = {
        (project["version"], project["license"], project["requires-python"])
        for member in distributions().values()
        for project in [member.project["project"]]
    }
    assert described == {("0.1.0", "Apache-2.0", ">=3.11")}


def of_this_machine() -> re.Pattern[str]:
    """What would betray the machine: its folders, other people's homes, addresses of indexes."""
    # A root of one part ("/app") is no betrayal: every container has such folders.
    here = rf"(?<![\w.]){re.escape(str(ROOT))}/" if len(ROOT.parts) > 2 else r"(?!)"
    tools = r"/(?:root)/\.(?:pyenv|cache|local|rustup)/"
    homes = r"/(?:home|Users)/(?!you/|user/|me/|name/|\$|<|\{)[a-z][\w.-]*/"
    indexes = r"https?://[^\s\"']*/(?:simple|packages|registry)\b|files\.pythonhosted\.org"
    return re.compile(f"{here}|{tools}|{homes}|{indexes}")


def test_no_path_or_index_of_one_machine() -> None:
    betrayal = of_this_machine()
    found = [
        f"{path}: {hit.group()}"
        for path, text in texts()
        if not path.endswith("test_no_foreign_packages.py")
        for hit in betrayal.finditer(text)
    ]
    assert not found, "\n".join(found)
