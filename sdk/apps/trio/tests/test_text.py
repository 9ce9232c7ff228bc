"""The words that the three agents work with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio_text
from trio_text import Library, Passage, aspects, file_name, words, write

LIBRARY = Path(trio_text.__file__).parents[1] / "library"


def test_a_question_has_its_clauses_as_aspects() -> None:
    assert aspects("What is twill, and who feared the machine?") == [
        "What is twill",
        "who feared the machine",
    ]
    assert aspects("Denim?") == ["Denim?"]


def test_the_best_sentence_comes_first() -> None:
    found = Library.read(LIBRARY).search("Who took the punched cards over?", 2)
    assert found[0].text.startswith("Charles Babbage took the punched cards over")
    assert found[0].source == "jacquard.md"
    assert found[0].score >= found[1].score


def test_nothing_is_found_where_nothing_is_said() -> None:
    assert Library.read(LIBRARY).search("submarines", 3) == []
    assert Library([]).search("anything", 3) == []


def test_words_of_one_stem_are_the_same() -> None:
    assert words("weaver Weavers weaving woven")[:3] == ["weav", "weav", "weav"]


def test_an_answer_cites_its_sources_and_ends_with_a_summary() -> None:
    findings: list[dict[str, Any]] = [
        {"aspect": "one", "passages": [{"text": "It is so.", "source": "a.md"}]},
        {"aspect": "two", "passages": []},
    ]
    text = write("Why?", findings)
    assert "It is so. [1]" in text
    assert "[1] a.md" in text
    assert "says nothing about “two”" in text
    assert text.endswith("SUMMARY: It is so.\n")


def test_file_names_are_plain_and_differ() -> None:
    assert file_name("../../etc/passwd?").startswith("etc-passwd-")
    assert file_name("?") != file_name("!")
    assert Passage("a", "b").score == 0.0
