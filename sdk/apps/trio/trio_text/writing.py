"""From a question to its aspects, and from what was found to a text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_SPLIT = re.compile(r"[?;,]|\band\b|\bor\b", re.IGNORECASE)
_NO_NAME = re.compile(r"[^a-z0-9]+")
LONGEST_NAME = 48


def aspects(question: str) -> list[str]:
    """What *question* asks for, one after the other: its clauses, or itself.

    >>> aspects("How does a loom work, and who invented it?")
    ['How does a loom work', 'who invented it']
    """
    parts = [part.strip() for part in _SPLIT.split(question)]
    return [part for part in parts if len(part.split()) > 1] or [question.strip()]


def write(question: str, findings: Sequence[Mapping[str, Any]]) -> str:
    """The answer in Markdown: a paragraph an aspect, its sources, and a summary at the end."""
    lines = [f"# {question}", ""]
    used: dict[str, int] = {}
    best: list[str] = []
    for found in findings:
        passages = found["passages"]
        if not passages:
            lines += [f"The library says nothing about “{found['aspect']}”.", ""]
            continue
        best.append(passages[0]["text"])
        cited = [
            f"{passage['text']} [{used.setdefault(passage['source'], len(used) + 1)}]"
            for passage in passages
        ]
        lines += [" ".join(cited), ""]
    lines += [f"[{number}] {source}" for source, number in used.items()]
    return "\n".join([*lines, "", f"SUMMARY: {' '.join(best) or 'nothing was found.'}", ""])


def file_name(question: str) -> str:
    """A name for the answer's file: the question's own words, and what tells it from others."""
    plain = _NO_NAME.sub("-", question.lower()).strip("-")[:LONGEST_NAME].rstrip("-")
    return f"{plain or 'answer'}-{hashlib.sha256(question.encode()).hexdigest()[:6]}"
