"""The golden vectors in proto/vectors, which every language is held against."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import Envelope, InvalidTopic, TopicMap, check_pattern, check_topic, matches
from loom_kernel.envelope import FIELDS

VECTORS = Path(__file__).resolve().parents[2] / "proto" / "vectors"
PROBLEMS = {
    "empty": "it is empty",
    "too_long": "it is over 255 characters or 32 tokens",
    "empty_token": "empty token",
    "white_space": "white space",
    "rest_not_last": "must come last",
    "partial_wildcard": "must be a whole token",
    "pattern": "not published to",
}


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def envelope(record: dict[str, Any]) -> Envelope:
    """Make the envelope that *record* shows, leaving to it whatever follows from the rest."""
    known = {name: record[name] for name in ("type", "source", "time", "topic", "sender")}
    binary = "data_base64" in record
    known["_data"] = b64decode(record["data_base64"]) if binary else record["data"]
    known["_id"] = record["id"]
    for name in ("subject", "content_type", "metadata", "priority", "confidence", "causation_id",
                 "ttl", "hop", "budget", "expires", "dropped_before"):  # fmt: skip
        known[name] = record[name]
    known |= {"tags": tuple(record["tags"]), "labels": frozenset(record["labels"])}
    plain = Envelope(**known)
    derived = ("thread_id", "correlation_id", "reply_to")
    own = {f"_{one}": record[one] for one in derived if record[one] != getattr(plain, one)}
    if record["traceparent"] != plain.traceparent:
        own["_trace"] = record["traceparent"]
    return Envelope(**known, **own)


@pytest.mark.feature("ENV-01")
@pytest.mark.parametrize("case", vectors("envelope"), ids=lambda case: case["name"])
def test_an_envelope_prints_as_its_vector(case: dict[str, Any]) -> None:
    printed = json.loads(envelope(case["json"]).to_json())
    assert printed == case["json"]
    data = {"data_base64"} if "data_base64" in printed else {"data"}
    assert printed.keys() == {*FIELDS} - {"data"} | data


def problem(check: Callable[[str], str], text: str) -> str:
    try:
        check(text)
    except InvalidTopic as error:
        (found,) = (name for name, words in PROBLEMS.items() if words in error.problem)
        return found
    return ""


@pytest.mark.feature("BUS-03")
@pytest.mark.parametrize(
    ("kind", "check"), [("topics", check_topic), ("patterns", check_pattern)]
)  # fmt: skip
def test_the_grammar_is_that_of_the_vectors(kind: str, check: Callable[[str], str]) -> None:
    cases = vectors("topics")[kind]
    assert [(case["text"], problem(check, case["text"])) for case in cases] == [
        (case["text"], case["problem"]) for case in cases
    ]
    assert {case["problem"] for case in cases} >= PROBLEMS.keys() - {"pattern"}


@pytest.mark.feature("BUS-03")
def test_patterns_match_as_in_the_vectors() -> None:
    cases = vectors("topics")["matches"]
    assert [matches(case["pattern"], case["topic"]) for case in cases] == [
        case["matches"] for case in cases
    ]


@pytest.mark.feature("BUS-03")
def test_the_map_finds_what_the_vectors_match() -> None:
    for case in vectors("topics")["matches"]:
        found: TopicMap[str, list[str]] = TopicMap(lambda topic, entries: entries)
        found.add(case["pattern"], "it")
        assert bool(found[case["topic"]]) is case["matches"], case
