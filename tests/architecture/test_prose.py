"""What the pages say about the repository is so: links lead somewhere, commands exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.repository import repository_files
from workspace import ROOT

LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)#\s]+)[^)]*\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
MAKE = re.compile(r"^\s*(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md")


def pages() -> list[Path]:
    return [
        path for path in repository_files() if path.suffix == ".md" and "{{" not in path.as_posix()
    ]


def test_links_lead_somewhere() -> None:
    lost = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages()
        for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
        if not (page.parent / link).exists()
    ]
    assert not lost, "\n".join(lost)


def test_make_commands_exist() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    unknown = [
        f"{page.relative_to(ROOT)}: make {target}"
        for page in pages()
        for code in CODE.findall(page.read_text(encoding="utf-8"))
        for target in MAKE.findall(code.strip("`"))
        if target not in targets
    ]
    assert not unknown, "\n".join(unknown)


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    internal = {"types", "sync"}
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## .", text, re.MULTILINE))
    assert set(TARGET.findall(text)) - internal == explained


def test_change_fragments_follow_the_convention() -> None:
    found = [path.name for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
    assert [name for name in found if not FRAGMENT.fullmatch(name)] == []
