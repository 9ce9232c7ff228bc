"""The report is Markdown that nothing that was read can bend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from deep_research.findings import Evidence
from deep_research.report import escape, render, without_addresses
from deep_research.research import Answer, Research, Researches

pytestmark = pytest.mark.feature("APP-05")
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
ODD = st.text(alphabet="ab1 .-+=*_`[]()<>#|~&@:/\\\n!\"'“", max_size=40)


def one(claim: str, quote: str = "", url: str = "https://a.example/") -> Evidence:
    return Evidence(claim, quote or claim, url, "A [title]", 0.0)


def research(*answers: Answer, query: str = "Why?") -> Research:
    questions = [f"Question {number}?" for number in range(1, len(answers) + 1)]
    numbered = {str(number): answer for number, answer in enumerate(answers, 1)}
    return Research(
        id="x", query=query, questions=questions, by="model", asked=0.0, deadline=60.0,
        answers=numbered,
    )  # fmt: skip


@given(ODD)
def test_words_of_strangers_stay_words(text: str) -> None:
    tokens = MARKDOWN.parse(f"- {escape(text)} [1]")
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds <= {"bullet_list", "list_item", "paragraph", "inline"}
    (inline,) = [token for token in tokens if token.type == "inline"]
    children = inline.children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == " ".join(f"{text} [1]".split())


def test_addresses_of_a_model_are_left_out_and_others_are_no_links() -> None:
    assert without_addresses("see http://x.example/a or www.x.example") == (
        "see (address left out) or (address left out)"
    )
    assert escape("at http://x.example and www.x.example") == (
        "at http\\://x.example and www\\.x.example"
    )


def test_sources_are_numbered_once_and_their_urls_cannot_break_out() -> None:
    evil = "https://a.example/) <script>[x](y"
    text = render(
        research(Answer([one("First"), one("Second", "words", evil)]), Answer([one("Third")])),
        [one("Third")],
    )
    assert "- First [1]\n- Second [2]\n  > “words”" in text
    assert "- Third [1]" in text
    assert text.count("\n1. ") == text.count("\n2. ") == 1
    assert "<https://a.example/%29%20%3Cscript%3E[x]%28y>, read 1970-01-01 00:00 UTC" in text
    assert "Partial" not in text


def test_what_is_missing_is_said_with_its_reason() -> None:
    unfinished = research(Answer([one("First")]), Answer(failure="the *site* is gone"), Answer())
    del unfinished.answers["3"]
    text = render(unfinished, [])
    assert "**Partial report:** 2 of 3 questions" in text
    assert "No answer: the \\*site\\* is gone." in text
    assert "No answer: no answer within 60 s." in text


def test_what_two_questions_bring_is_said_once() -> None:
    state: dict[str, object] = {}
    under_way = research(Answer(), Answer())
    under_way.answers.clear()
    known = Researches(state)
    known.add(under_way, 2, Answer([one("First")]))
    known.add(under_way, 1, Answer([one("First"), one("Second")], dropped=3))
    kept = known.get("x")
    assert kept is not None
    assert [found.claim for found in kept.evidence] == ["Second", "First"]
    assert (kept.dropped, kept.is_complete, kept.missing) == (3, True, {})
    known.drop(kept)
    assert list(known) == []
