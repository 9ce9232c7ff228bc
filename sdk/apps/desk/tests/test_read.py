from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk_text.document import CHARACTER_LIMIT, SUFFIXES, Heading, Link, Task, Unreadable, read

MARKDOWN = """---
title: "The plan"
author: someone
---
# Intro

First *paragraph* with `code` and a [link](https://example.org/a).
It goes on, see https://example.org/bare.

```python
# not a heading
x = "not prose?"
```

### Deep

- [ ] buy milk
- [x] sell
  cows
- plain point

TODO: write it

    indented code

Setext
------
![picture](p.png) <b>html</b> [bad](javascript:alert(1)) [own](other.md)
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_markdown_is_taken_apart(newline: str) -> None:
    document = read(MARKDOWN.replace("\n", newline), "plan.md")
    assert document.title == "The plan"
    assert document.headings == [
        Heading(1, "Intro", 5), Heading(3, "Deep", 15), Heading(2, "Setext", 26),
    ]  # fmt: skip
    assert document.tasks == [
        Task("buy milk", False, 17), Task("sell cows", True, 18), Task("write it", False, 22),
    ]  # fmt: skip
    assert document.links == [
        Link("link", "https://example.org/a"),
        Link("https://example.org/bare", "https://example.org/bare"),
    ]
    assert document.code_blocks == 2
    assert document.passages[0].startswith("First paragraph with code and a link.")
    assert not any("not prose" in passage for passage in document.passages)


def test_plain_text_means_itself() -> None:
    text = (
        "Heading\n=======\n\n# no heading\n*stars* stay. https://example.org.\n\nTodo: call Ann\n"
    )
    document = read(text, "note.txt")
    assert document.headings == [Heading(1, "Heading", 1)]
    assert document.passages == ["# no heading *stars* stay. https://example.org."]
    assert document.links == [Link("https://example.org", "https://example.org")]
    assert document.tasks == [Task("call Ann", False, 7)]


RESTRUCTURED = """Title
=====

Intro with `a link <https://example.org>`_ and :unknown:`role`.

Sub
---

.. include:: /etc/passwd

.. raw:: html

   <script>alert(1)</script>

::

    code

- point one
"""


def test_restructured_text_is_taken_apart_and_reaches_nothing_outside(
    capfd: pytest.CaptureFixture[str],
) -> None:
    document = read(RESTRUCTURED, "doc.rst")
    assert [(heading.level, heading.text) for heading in document.headings] == [
        (1, "Title"), (2, "Sub"),
    ]  # fmt: skip
    assert document.links == [Link("a link", "https://example.org")]
    assert document.passages[-1] == "point one"
    assert not any(secret in str(document) for secret in ("root:", "<script>"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_nothing_is_a_document_too(suffix: str, content: str) -> None:
    document = read(content, "empty" + suffix)
    assert document.title == "empty"
    assert document.passages == []


def test_a_byte_order_mark_does_not_hide_the_heading() -> None:
    assert read("\ufeff# Hello\n", "a.md").title == "Hello"


def test_binary_content_is_refused() -> None:
    with pytest.raises(Unreadable, match="zero bytes"):
        read("PNG\x00\x01", "picture.md")


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(Unreadable, match=r"no reader for \.pdf"):
        read("text", "a.pdf")
    with pytest.raises(Unreadable, match="without a suffix"):
        read("text", "Makefile")


def test_a_huge_file_is_read_to_the_limit() -> None:
    document = read("word " * CHARACTER_LIMIT, "big.txt")
    assert document.is_cut
    assert sum(map(len, document.passages)) <= CHARACTER_LIMIT


def test_an_unclosed_front_matter_and_fence_are_just_text() -> None:
    assert read("---\ntitle: x\n\ntext", "a.md").title == "a"
    assert read("```\ncode to the end", "a.md").code_blocks == 1


@given(st.sampled_from(sorted(SUFFIXES)), st.text(max_size=300))
def test_any_text_can_be_read(suffix: str, content: str) -> None:
    try:
        document = read(content, "x" + suffix)
    except Unreadable:
        assert "\0" in content
    else:
        assert document.title
        assert all(link.target.startswith(("http", "mailto:", "HTTP")) or ":" in link.target
                   for link in document.links)  # fmt: skip
