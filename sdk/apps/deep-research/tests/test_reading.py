"""Queries fall into questions, answers of models are read strictly, and rules find sentences."""

from __future__ import annotations

from typing import Any

import pytest

from deep_research.findings import Page
from deep_research.questions import file_name, questions_by_rules, read_questions
from deep_research.rules import find_claims
from deep_research.thinking import object_in, read_choice, read_claims

pytestmark = pytest.mark.feature("APP-05")


@pytest.mark.parametrize(
    ("query", "questions"),
    [
        ("looms", ["Looms"]),
        ("What is a loom and who built it?", ["What is a loom", "Who built it?"]),
        ("Salt and pepper: where from? Why?", ["Salt and pepper: where from?", "Why?"]),
        ("Is it and is it", ["Is it"]),
        ("a;  what?", ["A", "What?"]),
    ],
)
def test_a_query_falls_apart_by_rules(query: str, questions: list[str]) -> None:
    assert questions_by_rules(query, 5) == questions


@pytest.mark.parametrize(
    ("answer", "questions"),
    [
        ({"questions": ["a?", " a? ", "b\n?", "c?"]}, ["a?", "b ?"]),
        ({"questions": []}, []),
        ({"questions": "a?"}, []),
        ({"questions": [1]}, []),
        ({"questions": ["x" * 301]}, []),
        ({}, []),
        (None, []),
    ],
)
def test_questions_of_a_model_are_held_to_their_form(answer: Any, questions: list[str]) -> None:
    assert read_questions(answer, 2) == questions


@pytest.mark.parametrize("text", ["", "no", "}{", "{", "[1]", "{'a': 1}", '{"a": ' * 5000 + "}"])
def test_what_is_no_object_is_none(text: str) -> None:
    assert object_in(text) is None
    assert read_claims(text) == ([], 0)


def test_claims_are_read_out_of_whatever_is_around_them() -> None:
    good = '{"claim": "a", "url": "b", "quote": "c", "more": 1}'
    claims, unreadable = read_claims(f'Yes:\n```{{"claims": [{good}, {{"claim": 1}}, 2]}}```')
    assert [(one.claim, one.url, one.quote) for one in claims] == [("a", "b", "c")]
    assert unreadable == 2


def test_a_choice_names_claims_that_there_are() -> None:
    assert read_choice({"claims": [3, 1, 1, 0, 9, -1, True, "2"]}, 3) == [2, 0]
    assert read_choice({"claims": 1}, 3) == read_choice(None, 3) == []


def test_a_file_has_a_plain_name() -> None:
    assert file_name("Was kostet Öl? ../../etc", "7") == "was-kostet-ol-etc-7.md"
    assert file_name("織機", "a-1") == "report-a-1.md"


def test_the_sentences_that_share_the_most_are_found_and_questions_are_none() -> None:
    text = (
        "Cookies are used on this site to measure things.\n"
        "Heddles lift the threads of a loom in turn. Who lifts the threads of a loom?\n"
        "A loom stands in the museum of the town for everybody to see."
    )
    page = Page("https://a.example/", "", text, 0.0)
    (found,) = find_claims("How does a loom lift threads?", [page], 5)
    assert found.quote == found.claim == "Heddles lift the threads of a loom in turn."
    assert find_claims("of it?", [page], 5) == []
