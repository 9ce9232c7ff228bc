"""Reads Markdown, and plain text as its smallest dialect, with markdown-it-py."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from desk_text.document import Document, Heading

_TITLE = re.compile(r"^title\s*:\s*(?P<text>.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_SPACES = {"softbreak": " ", "hardbreak": " "}


def read_markdown(text: str) -> Document:
    """CommonMark with tables, bare links and a YAML front matter, which may give the title."""
    parser = MarkdownIt("commonmark").enable("table")
    return _read(parser.use(front_matter_plugin).use(gfm_autolink_plugin), text)


def read_plain(text: str) -> Document:
    """Paragraphs, underlined headings and bare links; all other characters mean themselves."""
    return _read(MarkdownIt("zero").enable("lheading").use(gfm_autolink_plugin), text)


def _read(parser: MarkdownIt, text: str) -> Document:
    document = Document()
    parent = ""
    for token in parser.parse(text):
        match token.type:
            case "front_matter":
                title = _TITLE.search(token.content)
                document.title = title["text"].strip("'\"") if title else ""
            case "fence" | "code_block":
                document.code_blocks += 1
            case "inline":
                _read_inline(document, token, parent)
            case _:
                parent = token.tag
    return document


def _read_inline(document: Document, token: Token, parent: str) -> None:
    line = token.map[0] + 1 if token.map else 0
    text = "".join(_texts(token.children or []))
    if re.fullmatch(r"h[1-6]", parent):
        document.headings.append(Heading(int(parent[1]), " ".join(text.split()), line))
    else:
        document.add_passage(text, line)
    _collect_links(document, token.children or [])


def _texts(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special"):
            yield token.content
        elif token.type == "image":
            yield from _texts(token.children or [])
        else:
            yield _SPACES.get(token.type, "")


def _collect_links(document: Document, tokens: list[Token]) -> None:
    opened: int | None = None
    for position, token in enumerate(tokens):
        if token.type == "link_open":
            opened = position
        elif token.type == "link_close" and opened is not None:
            text = "".join(_texts(tokens[opened + 1 : position]))
            document.add_link(text, str(tokens[opened].attrGet("href") or ""))
