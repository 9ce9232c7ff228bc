"""A text document, taken apart: what every reader makes and everything else works on."""

from __future__ import annotations

import re
from pathlib import PurePath

import msgspec

CHARACTER_LIMIT = 500_000
"""Longer documents are read up to here, and the report says so."""
MARKDOWN = frozenset({".md", ".markdown"})
RESTRUCTURED = frozenset({".rst"})
PLAIN = frozenset({".txt", ".text"})
SUFFIXES = MARKDOWN | RESTRUCTURED | PLAIN

_MARKER = re.compile(r"(?:todo|fixme|action item)\b[:\s-]*(?P<text>.*)", re.IGNORECASE)
_BOX = re.compile(r"\[(?P<mark>[ xX])\]\s+(?P<text>.*)", re.DOTALL)
_SAFE_TARGET = re.compile(r"(?:https?://|mailto:)[^\s<>]+", re.IGNORECASE)


class Unreadable(ValueError):
    """The content is no text that this app can read; the message says why."""


class Heading(msgspec.Struct, frozen=True):
    """A heading; *level* counts from 1."""

    level: int
    text: str
    line: int


class Link(msgspec.Struct, frozen=True):
    """A place the document points to; *target* is http, https or mailto."""

    text: str
    target: str


class Task(msgspec.Struct, frozen=True):
    """Something to do, from a check box or a marker at the start of a paragraph."""

    text: str
    is_done: bool
    line: int


class Document(msgspec.Struct):
    """The parts of a document in reading order. Code is counted, never read as prose."""

    title: str = ""
    headings: list[Heading] = []
    passages: list[str] = []
    links: list[Link] = []
    tasks: list[Task] = []
    code_blocks: int = 0
    is_cut: bool = False

    def add_passage(self, text: str, line: int) -> None:
        """Take in one block of prose, which may turn out to be a task."""
        flat = " ".join(text.split())
        if box := _BOX.match(flat):
            self.tasks.append(Task(box["text"], box["mark"] != " ", line))
        elif (marker := _MARKER.match(flat)) and marker["text"]:
            self.tasks.append(Task(marker["text"], False, line))
        elif flat:
            self.passages.append(flat)

    def add_link(self, text: str, target: str) -> None:
        """Take in a link once, if it leads somewhere a reader may safely be sent."""
        link = Link(" ".join(text.split()) or target, target)
        if _SAFE_TARGET.fullmatch(target) and all(
            link.target != known.target for known in self.links
        ):
            self.links.append(link)


def read(content: str, name: str) -> Document:
    """Take the document *name* apart; its suffix says how it is written.

    Raises:
        Unreadable: the content is binary, or no reader knows the suffix.
    """
    if "\0" in content[:CHARACTER_LIMIT]:
        raise Unreadable(f"{name} is not text: it holds zero bytes")
    text = (
        content[:CHARACTER_LIMIT].removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    )
    document = _read(text, PurePath(name).suffix.lower(), name)
    document.title = document.title or _first_heading(document) or PurePath(name).stem
    document.is_cut = len(content) > CHARACTER_LIMIT
    return document


def _read(text: str, suffix: str, name: str) -> Document:
    from desk_text import markup, restructured

    if suffix in MARKDOWN:
        return markup.read_markdown(text)
    if suffix in RESTRUCTURED:
        return restructured.read(text)
    if suffix in PLAIN:
        return markup.read_plain(text)
    raise Unreadable(f"{name}: no reader for {suffix or 'files without a suffix'}")


def _first_heading(document: Document) -> str:
    return (
        min(document.headings, key=lambda heading: heading.level).text if document.headings else ""
    )
