"""Reads reStructuredText with docutils, with everything off that reaches outside the text."""

from __future__ import annotations

from docutils import nodes
from docutils.core import publish_doctree

from desk_text.document import Document, Heading

_SAFE = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "doctitle_xform": False,
    "report_level": 5,  # problems stay in the tree, where they are skipped; nothing is printed
    "halt_level": 5,
}


def read(text: str) -> Document:
    tree = publish_doctree(text, settings_overrides=_SAFE)
    document = Document()
    _walk(document, tree, level=0)
    return document


def _walk(document: Document, node: nodes.Node, level: int) -> None:
    for child in node.children:
        match child:
            case nodes.section():
                _walk(document, child, level + 1)
            case nodes.title():
                document.headings.append(Heading(level, child.astext(), child.line or 0))
            case nodes.literal_block() | nodes.doctest_block():
                document.code_blocks += 1
            case nodes.paragraph() | nodes.term():
                document.add_passage(child.astext(), child.line or 0)
                _collect_links(document, child)
            case nodes.system_message() | nodes.comment() | nodes.Text():
                pass
            case _:
                _walk(document, child, level)


def _collect_links(document: Document, node: nodes.Element) -> None:
    for reference in node.findall(nodes.reference):
        document.add_link(reference.astext(), str(reference.get("refuri", "")))
