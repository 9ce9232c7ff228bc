from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from desk_text import Malformed, Stamp, analyse, read_opinion, render, schema, told_by

GOOD: dict[str, Any] = {
    "title": "Tides",
    "summary": ["The tables are printed every year."],
    "key_points": ["tide tables", "harbour"],
}
TEXT = "# Old title\n\nThe tide tables of the harbour are printed every year.\n"


def report(opinion: dict[str, Any], content: str = TEXT) -> str:
    found = read_opinion(json.dumps(opinion))
    told = told_by(analyse(content, "tides.md"), found, "m-1", content)
    return render(told, Stamp("tides.md", "abc"))


def test_the_report_holds_the_opinion_and_says_whose_it_is() -> None:
    body = report(GOOD)
    assert "# Tides\n" in body
    assert "## Summary\n\n- The tables are printed every year.\n" in body
    assert "## Key points\n\n- tide tables\n- harbour\n" in body
    assert "Title, summary and key points are by the model m-1 and may be wrong." in body
    assert "read the first 16,000 characters and may be wrong" in report(GOOD, TEXT * 500)


def test_what_a_model_writes_cannot_add_structure() -> None:
    body = report({**GOOD, "title": "# <b>x</b>", "summary": ["[x](javascript:1) `code`"]})
    assert r"# \# \<b\>x\</b\>" in body
    assert r"- \[x\](javascript:1) \`code\`" in body


@pytest.mark.parametrize("around", ["{}", "Here it is:\n```json\n{}\n```\nAs you wished."])
def test_words_around_the_object_do_no_harm(around: str) -> None:
    assert read_opinion(around.replace("{}", json.dumps(GOOD))).title == "Tides"


BAD: dict[str, Any] = {
    "nothing": "",
    "prose": "The document is about tides.",
    "list": "[1, 2]",
    "cut off": json.dumps(GOOD)[:-9],
    "deep": '{"title": ' + "[" * 100_000 + "}",
    "no title": {key: GOOD[key] for key in ("summary", "key_points")},
    "more": {**GOOD, "links": ["https://example.org/"]},
    "empty title": {**GOOD, "title": " "},
    "long title": {**GOOD, "title": "x" * 201},
    "a number": {**GOOD, "title": 7},
    "no summary": {**GOOD, "summary": []},
    "long summary": {**GOOD, "summary": ["x."] * 6},
    "one text": {**GOOD, "summary": "The tables."},
    "two lines": {**GOOD, "summary": ["a\n# b"]},
    "escape": {**GOOD, "key_points": ["\x1b[2Jgone"]},
    "turned round": {**GOOD, "key_points": ["\u202egnp.exe"]},
}  # fmt: skip


@pytest.mark.parametrize("said", BAD.values(), ids=list(BAD))
def test_what_was_not_asked_for_is_not_taken(said: Any) -> None:
    with pytest.raises(Malformed):
        read_opinion(said if isinstance(said, str) else json.dumps(said))


def test_an_endpoint_is_told_the_same_form() -> None:
    judge = Draft202012Validator(schema())
    assert judge.is_valid(GOOD)
    forms = ("no title", "more", "long title", "a number", "no summary", "long summary", "one text")
    assert not any(judge.is_valid(BAD[name]) for name in forms)
    assert msgspec.json.encode(schema())
