"""The pages people read, as blocks of code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: where it begins, its language, its text."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[Path]:
    """README, everything under docs/, and the plugins' own pages."""
    found = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")]
    return sorted([*found, *ROOT.glob("sdk/apps/*/README.md")])


def blocks(page: Path, language: str = "") -> list[Block]:
    """The blocks of *page*, those in *language* only if one is given."""
    text = page.read_text("utf-8")
    name = str(page.relative_to(ROOT))
    found = [
        Block(name, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if language in ("", block.language)]
